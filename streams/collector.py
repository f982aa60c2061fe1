"""Python's collector of cycles, told that what the core remembers is no garbage.

The core holds millions of small objects for days and makes no cycles. With the usual settings the
collector walks through all of them every few seconds, which stops judging for up to 0.1 s.
"""

import gc

YOUNG, MIDDLE, OLD = 10_000, 250, 1000  # allocations; young, and middle collections before the next


def calm() -> None:
    """Lets the collector run seldom; what exists now is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
