"""Loops over columns, compiled to machine code by numba.

What is decorated is plain Python over numpy arrays and numbers, so that it reads, and can be
stepped through (`NUMBA_DISABLE_JIT=1`), like any other function. The first call compiles it, about
half a second; the result is kept beside the source, or in the user's cache directory.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])

# No reference counts: they cost more than the loops themselves. So a loop makes no array.
_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}


def compiled(loop: Loop) -> Loop:
    """Compiles a loop; without a place to keep the result, it is compiled in every process.

    A loop gets the arrays that it fills; it makes none.

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
        return cast(Loop, numba.njit(cache=True, **_OPTIONS)(loop))
    except RuntimeError:  # no directory to keep it in can be written
        return cast(Loop, numba.njit(**_OPTIONS)(loop))


def inlined(loop: Loop) -> Loop:
    """Compiles a piece of the loops that call it, all in the same file.

    What is kept on disk is renewed when the file of the loop itself changes, not when others do.
    """
    return cast(Loop, numba.njit(**_OPTIONS)(loop))
