"""The fast scanner: lines of canonical events straight into columns of numbers.

It takes the plain form that programs write: one flat object of known keys, ASCII without escapes,
small numbers. What it takes, the decoder would take with the same values (a property
test holds it to that); whatever else comes, it leaves to the decoder, line by line.
"""

from typing import Any

import numpy as np

from schemas.compiled import compiled, inlined
from schemas.fingerprint import fingerprint

TEXT, WORD, COUNT, AMOUNT, FLAG, INSTANT, LIST = range(7)
KEY_PLACES = 256
LEFT = -1  # to the decoder
_NEWLINE, _QUOTE, _COMMA, _COLON, _OPEN, _CLOSE = 10, 34, 44, 58, 123, 125
_MOST_DIGITS = 15  # below 2**53, so that a quotient by a power of ten is rounded right
_TENS = 10.0 ** np.arange(23)  # those that a float holds exactly
_DAY_MS = 86_400_000
_INSTANT = len('2026-10-01T00:00:00Z"')
_TRUE, _FALSE, _NULL = (np.frombuffer(word, np.uint8) for word in (b"true", b"false", b"null"))
_PLAIN = np.zeros(256, np.bool_)  # bytes that stand for themselves inside a text
_PLAIN[32:127] = True
_PLAIN[[34, 92]] = False
_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@compiled
def scan(data: Any, shape: Any, order: Any, seen: Any, lines: Any, values: Any) -> int:
    """Reads every line that is not blank.

    Args:
        data: bytes; the last is a newline.
        shape: a `Shape`.
        order: which field followed which, by number + 1; kept from block to block.
        lines: filled in: first byte, end, and 1 if the line was read, for each line.
        values: filled in: a row per field, a column per line; 0 is unknown. Texts are
            fingerprints, words and flags count from 1, instants are ms since 1970.
    Returns:
        How many lines there are.
    """
    at = line = 0
    while at < len(data):
        begin = at
        while data[at] == 32 or (9 <= data[at] <= 13 and data[at] != _NEWLINE):
            at += 1
        if data[at] == _NEWLINE:
            at += 1
            continue
        end = _line(data, at, line, shape, order, seen, values)
        lines[2, line] = end != LEFT
        if end == LEFT:
            end = at
            while data[end] != _NEWLINE:
                end += 1
        lines[0, line], lines[1, line] = begin, end
        at = end + 1
        line += 1
    return line


@inlined
def _line(data: Any, at: int, line: int, shape: Any, order: Any, seen: Any, values: Any) -> int:
    """Reads one object; gives the place of its newline, or `LEFT`."""
    if data[at] != _OPEN:
        return LEFT
    last = -1
    while data[at] == _COMMA or last == -1:
        at = _blank(data, at + 1)
        if data[at] != _QUOTE:
            return LEFT
        field, at = _key(data, at + 1, order[last + 1], shape)
        if field == LEFT or seen[field] == line:
            return LEFT
        seen[field] = line
        order[last + 1] = last = field
        at = _blank(data, at)
        if data[at] != _COLON:
            return LEFT
        value, at = _value(data, _blank(data, at + 1), field, shape)
        if at == LEFT:
            return LEFT
        values[field, line] = value
        at = _blank(data, at)
    if data[at] != _CLOSE:
        return LEFT
    for field in shape.required:
        if seen[field] != line:
            return LEFT
    at = _blank(data, at + 1)
    return at if data[at] == _NEWLINE else LEFT


@inlined
def _blank(data: Any, at: int) -> int:
    while data[at] == 32 or data[at] == 9 or data[at] == 13:
        at += 1
    return at


@inlined
def _same(data: Any, at: int, letters: Any, begin: int, end: int) -> bool:
    for place in range(end - begin):
        if data[at + place] != letters[begin + place]:
            break
    else:
        return True
    return False


@inlined
def _key(data: Any, at: int, guess: int, shape: Any) -> Any:
    """The field of a key and the place behind its closing quote."""
    begin, end = shape.key[guess], shape.key[guess + 1]
    if _same(data, at, shape.letters, begin, end) and data[at + end - begin] == _QUOTE:
        return guess, at + end - begin + 1
    stop = at
    while _PLAIN[data[stop]]:
        stop += 1
    if data[stop] != _QUOTE:
        return LEFT, LEFT
    place = np.int64(fingerprint(data, at, stop) % np.uint64(KEY_PLACES))
    while shape.places[place] >= 0:
        field = shape.places[place]
        begin, end = shape.key[field], shape.key[field + 1]
        if end - begin == stop - at and _same(data, at, shape.letters, begin, end):
            return field, stop + 1
        place = (place + 1) % KEY_PLACES
    return LEFT, LEFT


@inlined
def _value(data: Any, at: int, field: int, shape: Any) -> Any:
    """The value of a field and the place behind it, or `LEFT`."""
    kind = shape.kind[field]
    if data[at] == 110:  # n
        taken = shape.optional[field] and _same(data, at, _NULL, 0, 4)
        return 0, at + 4 if taken else LEFT
    if kind == COUNT:
        return _count(data, at, shape.most[field])
    if kind == AMOUNT:
        return _amount(data, at, shape.most[field], shape.scale[field])
    if kind == FLAG:
        if _same(data, at, _TRUE, 0, 4):
            return 2, at + 4
        return 1, at + 5 if _same(data, at, _FALSE, 0, 5) else LEFT
    if kind == LIST:
        return _list(data, at, field, shape)
    if data[at] != _QUOTE:
        return 0, LEFT
    begin = stop = at + 1
    if kind == INSTANT:
        return _instant(data, begin)
    while _PLAIN[data[stop]]:
        stop += 1
    if data[stop] != _QUOTE:
        return 0, LEFT
    if kind == WORD:
        word = _word(data, begin, stop, field, shape)
        return word, stop + 1 if word else LEFT
    if not shape.least[field] <= stop - begin <= shape.most[field]:
        return 0, LEFT
    return np.int64(fingerprint(data, begin, stop)), stop + 1


@inlined
def _count(data: Any, at: int, most: int) -> Any:
    begin = at
    number: Any = 0
    while 48 <= data[at] <= 57 and at - begin <= _MOST_DIGITS:
        number = 10 * number + np.int64(data[at]) - 48
        at += 1
    digits = at - begin
    if digits == 0 or digits > _MOST_DIGITS or (digits > 1 and data[begin] == 48):
        return 0, LEFT
    if number > most or data[at] == 46 or data[at] == 69 or data[at] == 101:
        return 0, LEFT
    return number, at


@inlined
def _amount(data: Any, at: int, most: int, scale: float) -> Any:
    """A number with a point, in units of 1 / `scale`."""
    begin, point = at, -1
    number: Any = 0
    while (48 <= data[at] <= 57) or (data[at] == 46 and point < 0):
        if data[at] == 46:
            point = at
        else:
            number = 10 * number + np.int64(data[at]) - 48
        at += 1
        if at - begin > _MOST_DIGITS + 1:
            return 0, LEFT
    whole = (point if point >= 0 else at) - begin
    behind = at - point - 1 if point >= 0 else 0
    if whole == 0 or (whole > 1 and data[begin] == 48) or (point >= 0 and behind == 0):
        return 0, LEFT
    power = behind
    if data[at] == 69 or data[at] == 101:  # such as 7.65e-05
        if data[at + 1] != 45:
            return 0, LEFT
        exponent = _digits(data, at + 2, 2, 99)
        if exponent == LEFT:
            return 0, LEFT
        power += exponent
        at += 4
        if 48 <= data[at] <= 57:
            return 0, LEFT
    if whole + behind > _MOST_DIGITS or power >= len(_TENS) or number / _TENS[power] > most:
        return 0, LEFT
    return np.int64(np.rint(number / _TENS[power] * scale)), at


@inlined
def _word(data: Any, begin: int, stop: int, field: int, shape: Any) -> Any:
    """Which of the words a field may hold, from 1; 0 is none of them."""
    for word in range(shape.word[field], shape.word[field + 1]):
        first, end = shape.words[word], shape.words[word + 1]
        if end - first == stop - begin and _same(data, begin, shape.letters, first, end):
            return word - shape.word[field] + 1
    return 0


@inlined
def _list(data: Any, at: int, field: int, shape: Any) -> Any:
    """How many texts a list holds."""
    if data[at] != 91:
        return 0, LEFT
    at = _blank(data, at + 1)
    members = 0
    while data[at] != 93:
        if data[at] != _QUOTE or members == shape.members[field]:
            return 0, LEFT
        begin = at = at + 1
        while _PLAIN[data[at]]:
            at += 1
        if data[at] != _QUOTE or not shape.least[field] <= at - begin <= shape.most[field]:
            return 0, LEFT
        members += 1
        at = _blank(data, at + 1)
        if data[at] == _COMMA:
            at = _blank(data, at + 1)
            if data[at] != _QUOTE:
                return 0, LEFT
        elif data[at] != 93:
            return 0, LEFT
    return members, at + 1


@inlined
def _digits(data: Any, at: int, count: int, most: int) -> int:
    number: Any = 0
    for place in range(at, at + count):
        if not 48 <= data[place] <= 57:
            return LEFT
        number = 10 * number + np.int64(data[place]) - 48
    return number if number <= most else LEFT


@inlined
def _instant(data: Any, at: int) -> Any:
    """`2026-10-01T00:00:00.123456Z` in ms since 1970, and the place behind its closing quote."""
    if at + _INSTANT > len(data):  # every other value is read up to its end, this one by places
        return 0, LEFT
    year, month = _digits(data, at, 4, 9999), _digits(data, at + 5, 2, 12)
    day, hour = _digits(data, at + 8, 2, 31), _digits(data, at + 11, 2, 23)
    minute, second = _digits(data, at + 14, 2, 59), _digits(data, at + 17, 2, 59)
    if min(hour, minute, second) < 0 or min(year, month, day) < 1:
        return 0, LEFT
    if data[at + 4] != 45 or data[at + 7] != 45 or data[at + 10] != 84:
        return 0, LEFT
    if data[at + 13] != _COLON or data[at + 16] != _COLON:
        return 0, LEFT
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _MONTH[month] + (leap and month == 2):
        return 0, LEFT
    at += 19
    ms: Any = 0
    if data[at] == 46:
        point = at
        at += 1
        while 48 <= data[at] <= 57:
            if at - point <= 3:
                ms = 10 * ms + np.int64(data[at]) - 48
            at += 1
        fraction = at - point - 1
        if not 1 <= fraction <= 6:
            return 0, LEFT
        for _ in range(fraction, 3):
            ms *= 10
    if data[at] != 90 or data[at + 1] != _QUOTE:
        return 0, LEFT
    early = month <= 2  # days since 1970 by counting years from March
    years = year - early
    era, of_era = years // 400, years % 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return days * _DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms, at + 2
