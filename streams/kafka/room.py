"""Gives memory back after shards have moved to another worker."""

import ctypes
import gc


def give_back() -> None:
    """Frees what a rebalance left: old shards refer to themselves, and a heap keeps its holes.

    Takes some tenths of a second for a gigabyte, so it is not for every minute.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc's own (its manual, "malloc_trim")
    except (AttributeError, OSError):  # another C library, which has no such thing
        return
