"""Rejected originals are kept, encrypted, within limits, and shown without their contents."""

import os
from pathlib import Path

import pytest

from streams.quarantine import Quarantine, Refused, bundle
from streams.seal import MAX_ORIGINAL_BYTES, QuarantineLocked, Seal, label
from streams.structure import structure
from tests.test_serve_judge import Site, until


def refused(raw: bytes = b'{"prompt": "MARKER"}', **changes: str) -> Refused:
    words = {
        "source": "gateway",
        "place": "/ingest/canonical[0]",
        "format": "canonical",
        "field": "event.id",
        "reason": "Field required",
    }
    return Refused(**{**words, **changes}, raw=raw)


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_an_original_comes_back_and_is_nowhere_in_the_clear(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    id = quarantine.add(refused())
    entry = quarantine.get(id[:8])
    assert entry is not None
    assert ("gateway", "event.id", "Field required", 20) == (
        entry.source,
        entry.field,
        entry.reason,
        entry.size,
    )
    assert b'{"prompt": "MARKER"}' == quarantine.original(id)
    assert b"MARKER" not in everything(tmp_path)
    quarantine.close()


def test_the_same_original_sent_again_is_one_entry(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    assert quarantine.add(refused()) == quarantine.add(refused())
    quarantine.add(refused(reason="another"))
    assert [1, 2] == sorted(entry.times for entry in quarantine.entries())


def test_old_originals_go_first_and_are_counted(tmp_path: Path) -> None:
    now = [0.0]
    quarantine = Quarantine(tmp_path, keep_s=100, wall=lambda: now[0])
    quarantine.add(refused(b"old"))
    now[0] = 101
    fresh = quarantine.add(refused(b"new"))
    assert [fresh] == [entry.id for entry in quarantine.entries()]
    assert 1 == quarantine.dropped()


def test_old_originals_go_also_while_nothing_is_refused(tmp_path: Path) -> None:
    now = [0.0]
    quarantine = Quarantine(tmp_path, keep_s=100, wall=lambda: now[0])
    quarantine.add(refused())
    now[0] = 99
    quarantine.tidy()
    assert (1, 0) == (quarantine.count(), quarantine.dropped())
    now[0] = 101
    quarantine.tidy()
    assert (0, 1) == (quarantine.count(), quarantine.dropped())


def test_the_judge_lets_old_originals_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.judging.TRIM_EVERY_S", 0.0)
    of_1970 = Quarantine(tmp_path, wall=lambda: 0.0)
    of_1970.add(refused())
    of_1970.close()
    site = Site(tmp_path)
    site.judge.start()
    until(lambda: site.quarantine.count() == 0)
    site.judge.stop()
    assert (0, 1) == (site.quarantine.count(), site.quarantine.dropped())
    site.close()


def test_its_size_is_bounded(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, max_bytes=2**20)
    for _ in range(60):
        quarantine.add(refused(os.urandom(50_000)))
    assert 60 == quarantine.count() + quarantine.dropped()
    assert 0 < quarantine.count() <= 20


def test_a_huge_original_is_cut_and_says_so(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    entry = quarantine.get(quarantine.add(refused(b"x" * (MAX_ORIGINAL_BYTES + 5))))
    assert entry is not None and entry.cut
    assert MAX_ORIGINAL_BYTES + 5 == entry.size


def test_another_key_does_not_open_it(tmp_path: Path) -> None:
    first = Quarantine(tmp_path)
    id = first.add(refused())
    first.close()
    (tmp_path / "quarantine.key").write_bytes(bytes(32))
    with pytest.raises(QuarantineLocked):
        Quarantine(tmp_path).original(id)


def test_key_and_database_are_for_their_owner_only(tmp_path: Path) -> None:
    Quarantine(tmp_path)
    assert {0o600} == {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}


def test_a_kill_while_the_key_is_made_leaves_none_and_the_next_start_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    path = tmp_path / "quarantine.key"
    for moment in ("fsync", "link"):
        with monkeypatch.context() as patch:
            patch.setattr(f"schemas.secret_file.os.{moment}", kill)
            patch.setattr("schemas.secret_file.Path.unlink", lambda *_, **__: None)  # nobody tidies
            with pytest.raises(Killed):
                Seal.load(path)
        assert not path.exists()
    assert Seal.load(path).name == Seal.load(path).name


@pytest.mark.parametrize(
    ("content", "mode", "remedy"),
    [(b"", 0o600, "restore it from a copy, or remove it"), (bytes(32), 0o640, "chmod 600")],
    ids=["empty", "readable"],
)
def test_a_key_that_cannot_be_trusted_is_refused_with_the_remedy(
    tmp_path: Path, content: bytes, mode: int, remedy: str
) -> None:
    path = tmp_path / "quarantine.key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(QuarantineLocked, match=remedy):
        Quarantine(tmp_path)


def test_its_structure_has_names_and_types_but_no_value() -> None:
    lines = structure(b'{"messages": [{"role": "user", "content": "MARKER"}], "n": 1}')
    assert [
        "messages: list of 1",
        "messages[0]: object",
        "messages[0].role: string of 4 characters",
        "messages[0].content: string of 6 characters",
        "n: integer",
    ] == lines


def test_names_that_are_no_names_are_not_shown() -> None:
    assert ["<name of 11 characters>: integer"] == structure(b'{"\\u001b[31mhi all": 1}')
    assert ["5 bytes of binary, not JSON"] == structure(b"\xff\xfe\x00\x01{")


def test_deep_and_wide_originals_have_a_bounded_structure() -> None:
    assert structure(b"[" * 100_000)
    wide = b"{" + b",".join(b'"k%d":{"a":1}' % n for n in range(5000)) + b"}"
    assert 81 == len(structure(wide))


@pytest.mark.process
def test_a_flood_of_bad_records_is_kept_in_few_entries() -> None:
    flood = [refused(b"%07d" % n) for n in range(300_000)]
    kept = bundle(flood)
    assert len(kept) < 1010
    assert [item.raw for item in flood] == b"\n".join(item.raw for item in kept).split(b"\n")
    assert max(len(item.raw) for item in kept) <= MAX_ORIGINAL_BYTES
    assert kept[1000].reason.endswith("records, the first: Field required")


def test_records_of_otlp_are_not_joined_line_by_line() -> None:
    kept = [refused(b"%d" % n, format="otlp-traces") for n in range(1005)]
    assert kept == bundle(kept)


def test_labels_print_on_one_line() -> None:
    assert "a\\nb\\x1b" == label("a\nb\x1b")
