"""`tripmeter fingerprint`: the name of a key in events, without the key on a command line."""

import hashlib
import io
from pathlib import Path

import pytest

from schemas.identity import Pepper, fingerprint
from streams.cli import main

KEY = "sk-0123456789abcdef"


def printed(
    folder: Path,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *words: str,
) -> tuple[int, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code = main(["fingerprint", "--data", str(folder), *words])
    captured = capsys.readouterr()
    assert KEY not in captured.out + captured.err
    return code, captured.out.strip()


def test_a_key_has_the_name_that_events_give_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pepper = Pepper.load(tmp_path / "pepper").secret
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    tell = (tmp_path, KEY + "\n", monkeypatch, capsys)

    assert (0, fingerprint(pepper, KEY)) == printed(*tell)
    assert (0, fingerprint(pepper, hashed)) == printed(*tell, "--source", "litellm")


def test_without_a_pepper_or_a_key_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (2, "") == printed(tmp_path, KEY, monkeypatch, capsys)
    assert not (tmp_path / "pepper").exists()
    Pepper.load(tmp_path / "pepper")
    assert (2, "") == printed(tmp_path, "\n", monkeypatch, capsys)
