"""Loops over columns, compiled to machine code by numba.

What is decorated is plain Python over numpy arrays and numbers, so that it reads, and can be
stepped through (`NUMBA_DISABLE_JIT=1`), like any other function. The first call compiles it, about
half a second; the result is kept beside the source, or in the user's cache directory.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compiles a loop; without a place to keep the result, it is compiled in every process.

    >>> @compiled
    ... def total(numbers):
    ...     found = 0
    ...     for number in numbers:
    ...         found += number
    ...     return found
    >>> import numpy
    >>> total(numpy.arange(4))
    6
    """
    try:
        return cast(Loop, numba.njit(cache=True, nogil=True)(loop))
    except RuntimeError:  # no directory to keep it in can be written
        return cast(Loop, numba.njit(nogil=True)(loop))
