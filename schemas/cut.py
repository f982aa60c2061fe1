"""Cuts a text out of lines that the scanner has read, without making objects of them."""

from typing import Any

from schemas.compiled import compiled

_QUOTE = 34


@compiled
def cut(block: Any, begins: Any, ends: Any, key: Any, texts: Any) -> None:
    """Copies the text that follows a key.

    What was scanned has no escapes and no key twice, so these bytes are the key and its text.

    Args:
        block: bytes of the lines.
        begins, ends: of each line.
        key: its bytes, with quotes, colon, and the quote that opens the text.
        texts: filled in, a row of bytes for each line: the text and then zeros; all zeros where the
            key is not written like this or the text is too long.
    """
    width = texts.shape[1]
    for line in range(len(begins)):
        texts[line, :] = 0
        place, stop = begins[line], ends[line] - len(key)
        while place < stop:
            same = 0
            while same < len(key) and block[place + same] == key[same]:
                same += 1
            if same == len(key):
                break
            place += 1
        if place >= stop:
            continue
        place += len(key)
        length = 0
        while length < width and block[place + length] != _QUOTE:
            texts[line, length] = block[place + length]
            length += 1
        if block[place + length] != _QUOTE:
            texts[line, :] = 0
