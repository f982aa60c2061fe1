"""64-bit fingerprints of texts, for comparing and nothing else. 0 means unknown."""

from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.compiled import compiled

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)  # constants of SplitMix64's finalizer (Steele et al., 2014)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_ONE, _FOUR, _EIGHT = np.uint64(1), np.uint64(4), np.uint64(8)
_HMAC = np.frombuffer(b"hmac:", np.uint8)
_HMAC_WIDTH = 21  # and 16 hexadecimal digits


def bytes_of(text: str) -> npt.NDArray[np.uint8]:
    """The UTF-8 bytes of a text as an array."""
    return np.frombuffer(text.encode(errors="surrogatepass"), np.uint8)


@compiled
def mix(number: Any) -> Any:
    """Spreads every bit of a number over all of them."""
    number = (number ^ (number >> _S30)) * _MIX_A
    number = (number ^ (number >> _S27)) * _MIX_B
    return number ^ (number >> _S31)


@compiled
def _hmac(data: Any, begin: int) -> Any:
    """The number that the 16 digits of a `hmac:` id spell, or 0 when it has another form."""
    for at in range(5):
        if data[begin + at] != _HMAC[at]:
            return np.uint64(0)
    number = np.uint64(0)
    for at in range(begin + 5, begin + _HMAC_WIDTH):
        letter = data[at]
        if 48 <= letter <= 57:
            digit = letter - 48
        elif 97 <= letter <= 102:
            digit = letter - 87
        else:
            return np.uint64(0)
        number = (number << _FOUR) | np.uint64(digit)
    return max(number, _ONE)


@compiled
def fingerprint(data: Any, begin: int, end: int) -> Any:
    """The fingerprint of some bytes. An id of `hmac:` and 16 digits is its own.

    >>> hex(fingerprint(bytes_of("hmac:00000000000000ff"), 0, 21))
    '0xff'
    """
    if end - begin == _HMAC_WIDTH:
        number = _hmac(data, begin)
        if number != 0:
            return number
    found = _SEED ^ np.uint64(end - begin)
    at = begin
    while at + 8 <= end:
        word = np.uint64(0)
        for place in range(8):
            word = (word << _EIGHT) | np.uint64(data[at + place])
        found = mix(found ^ word)
        at += 8
    word = np.uint64(0)
    while at < end:
        word = (word << _EIGHT) | np.uint64(data[at])
        at += 1
    return mix(found ^ word) | _ONE


def fingerprint_of(text: str | None) -> int:
    """The fingerprint of a text; None is 0."""
    if text is None:
        return 0
    data = bytes_of(text)
    return int(fingerprint(data, 0, len(data)))
