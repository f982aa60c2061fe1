"""A quick look at a block of lines: may anything in it be a raw key, a secret or an address?

One pass over the bytes. It says yes too often, never too seldom: what it lets pass, none of the
patterns of `schemas.adapters.canonical` finds anything in (a property test holds it to that).
"""

from typing import Any

import numpy as np

from schemas.compiled import compiled, inlined

_HMAC = np.frombuffer(b'"hmac:', np.uint8)
_SIZE, _DIGITS = len(_HMAC), 16
_QUOTE, _COLON, _NULL, _DASH, _OPEN, _COMMA, _CLOSE = b'":n-[,]'


def _table(letters: bytes) -> Any:
    found = np.zeros(256, np.bool_)
    found[list(letters)] = True
    return found


_PIVOT = _table(
    b"-_=:@\\AzJ \t\n\r\x0b\x0c"
)  # every pattern has one of these where it is looked at
_BLANK = _table(b" \t\n\r\x0b\x0c")
_WORD = _table(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_HEX = _table(b"0123456789abcdef")
_OWNERS = _table(b"spr")  # of sk-, pk- and rk-
_TOKENS = _table(b"opsur")  # of gho_, ghp_ and their likes
_ENDS = _table(b"yYdD")  # of api_key and password
_BEARER, _BASIC = _table(b"rR"), _table(b"cC")


@compiled
def suspect(data: Any) -> bool:
    """Whether a block has to be looked at closely.

    Args:
        data: bytes of NDJSON, six at least; the first opens an object.
    """
    for at in range(1, len(data)):
        here = data[at]
        if _PIVOT[here] and _odd(data, at, here):
            return True
    return False


@inlined
def _odd(data: Any, at: int, here: int) -> Any:
    """Whether what stands before a byte, or behind it, may be more than plain text."""
    one, two, three = data[at - 1], data[at - 2], data[at - 3]
    if here == _COLON:
        if one == _QUOTE:
            return _named(data, at) and not _hashed(data, at + 1)
        return _ENDS[one] or _BLANK[one]
    if here == 61:  # =
        return _ENDS[one] or _BLANK[one]
    if here == _DASH or here == 95:  # _
        if one == 107:  # sk-, pk_
            return _OWNERS[two] and not _WORD[three]
        if one == 116:  # glpat-, github_pat_
            return two == 97 and three == 112
        if one == 102:  # hf_
            return two == 104
        if two == 104 and three == 103:  # ghp_
            return _TOKENS[one]
        if two == 120 and three == 111:  # xoxb-
            return True
        return here == _DASH and one == _DASH
    if here == 65:  # AKIA
        return one == 73 and three == 65 and (two == 75 or two == 83)
    if here == 122:  # AIz
        return one == 73 and two == 65
    if here == 74:  # eyJ
        return one == 121 and two == 101
    if _BLANK[here]:  # bearer, basic
        return (_BEARER[one] and (two == 101 or two == 69)) or (
            _BASIC[one] and (two == 105 or two == 73)
        )
    return True  # an escape, or the @ of an address, or of a URL that holds a password


@inlined
def _named(data: Any, at: int) -> Any:
    """Whether the key before a colon ends in `y.id`, `n.ids` or `hash`."""
    two, three, four, five = data[at - 2], data[at - 3], data[at - 4], data[at - 5]
    if two == 100:
        return three == 105 and four == 46 and five == 121
    if two == 115 and three == 100:
        return four == 105 and five == 46 and data[at - 6] == 110
    return two == 104 and three == 115 and four == 97 and five == 104


@inlined
def _hashed(data: Any, at: int) -> Any:
    """Whether a value is a fingerprint, a list of them, or null."""
    while at < len(data) and data[at] == 32:
        at += 1
    if at < len(data) and data[at] == _NULL:
        return True
    if at < len(data) and data[at] == _OPEN:
        step = _SIZE + _DIGITS + 2
        at += 1
        if at < len(data) and data[at] == _CLOSE:
            return True
        while _hmac(data, at) and data[at + step - 1] == _COMMA:
            at += step
        return _hmac(data, at) and data[at + step - 1] == _CLOSE
    return _hmac(data, at)


@inlined
def _hmac(data: Any, at: int) -> Any:
    """Whether a text is a fingerprint; in the last bytes of a block nothing is."""
    if at + _SIZE + _DIGITS + 1 >= len(data):
        return False
    for place in range(_SIZE):
        if data[at + place] != _HMAC[place]:
            return False
    for place in range(at + _SIZE, at + _SIZE + _DIGITS):
        if not _HEX[data[place]]:
            return False
    return data[at + _SIZE + _DIGITS] == _QUOTE
