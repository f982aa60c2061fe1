"""Findings in a file."""

import json
import os
from pathlib import Path

import pytest

from alerts.base import RetryLater
from alerts.file import FileSink
from tests.alerts_fakes import deliveries, finding


def uids(path: Path) -> list[str]:
    return [json.loads(line)["metadata"]["uid"] for line in path.read_text().splitlines()]


def send(sink: FileSink, *ids: str) -> None:
    sink.send(deliveries(*(finding(id) for id in ids)))


def test_each_finding_is_a_line_and_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "findings.ndjson"
    sink = FileSink("file", path)
    send(sink, "a", "b")
    send(sink, "c")
    assert (["a#1", "b#1", "c#1"], 0o600) == (uids(path), path.stat().st_mode & 0o777)


def test_lines_are_on_the_disk_before_they_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "findings.ndjson"
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    send(FileSink("file", path), "a")
    assert path.stat().st_size == synced[-1]


TORN = [b"{", b'{"activity_id":1,"x":"\xf0', b'{"activity_id":2' + bytes(50), bytes(9)]


@pytest.mark.parametrize("torn", TORN)
def test_a_line_torn_by_a_crash_is_taken_away(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "findings.ndjson"
    sink = FileSink("file", path)
    send(sink, "a")
    sink.close()
    with path.open("ab") as file:
        file.write(torn)
    send(FileSink("file", path), "b")
    assert ["a#1", "b#1"] == uids(path)


def test_a_torn_only_line_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "findings.ndjson"
    path.write_bytes(b'{"activity_id":1,"ac')
    send(FileSink("file", path), "a")
    assert ["a#1"] == uids(path)


def test_somebody_elses_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("first\nnot finished")
    with pytest.raises(RetryLater, match="no finding") as caught:
        send(FileSink("file", path), "a")
    assert (True, "first\nnot finished") == (caught.value.operator, path.read_text())


def test_a_rotated_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "findings.ndjson"
    sink = FileSink("file", path)
    send(sink, "a")
    path.rename(tmp_path / "findings.1")
    send(sink, "b")
    assert (["a#1"], ["b#1"]) == (uids(tmp_path / "findings.1"), uids(path))


def test_a_full_disk_leaves_no_half_line_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "findings.ndjson"
    sink = FileSink("file", path)
    send(sink, "a")
    write = os.write
    calls = iter([10])

    def full(file: int, data: bytes) -> int:
        if (part := next(calls, None)) is not None:
            return write(file, bytes(data[:part]))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(RetryLater, match="No space left") as caught:
            send(sink, "b")
    after_failure = uids(path)
    send(sink, "b")
    assert (False, ["a#1"], ["a#1", "b#1"]) == (caught.value.operator, after_failure, uids(path))


def test_a_missing_folder_needs_an_operator(tmp_path: Path) -> None:
    with pytest.raises(RetryLater, match="No such file") as caught:
        send(FileSink("file", tmp_path / "away" / "f"), "a")
    assert caught.value.operator


def test_something_that_is_no_file_needs_an_operator(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RetryLater, match="not a regular file") as caught:
        send(FileSink("file", tmp_path / "pipe"), "a")
    assert caught.value.operator


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    first, second = FileSink("one", tmp_path / "f"), FileSink("two", tmp_path / "f")
    send(first, "a")
    with pytest.raises(RetryLater, match="another process"):
        send(second, "b")
    first.close()
    send(second, "b")
    assert ["a#1", "b#1"] == uids(tmp_path / "f")
