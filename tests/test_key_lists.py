"""Keys an operator lists in the configuration: as events show them, checked, never repeated."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.configuration import BadConfig, load
from streams.output import CoreSettings
from streams.wiring import EXTRAS, core_settings

KEY = "hmac:00000000000000aa"


def loaded(folder: Path, text: str) -> CoreSettings:
    file = folder / "tripmeter.toml"
    file.write_text(text)
    return core_settings(load(file, EXTRAS[:1]))


def test_canaries_and_revoked_keys_come_from_the_configuration(tmp_path: Path) -> None:
    text = f'[core]\ncanaries = ["{KEY}"]\n[core.revoked]\n"{KEY}" = 2026-10-01T12:00:00Z\n'
    core = loaded(tmp_path, text)

    assert frozenset({KEY}) == core.canaries
    assert {KEY: datetime(2026, 10, 1, 12, tzinfo=UTC)} == core.revoked


@pytest.mark.parametrize("text", ["sk-live-0123456789abcdef", "hmac:12", "HMAC:00000000000000AA"])
def test_a_raw_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    lists = f'[core]\ncanaries = ["{text}"]\n'
    times = f'[core.revoked]\n"{text}" = 2026-10-01T00:00:00Z\n'
    for lines in (lists, times):
        with pytest.raises(BadConfig) as bad:
            loaded(tmp_path, lines)
        assert "hmac: and 16 hexadecimal digits" in str(bad.value)
        assert text not in str(bad.value)


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="timezone"):
        loaded(tmp_path, f'[core.revoked]\n"{KEY}" = 2026-10-01T12:00:00\n')


def test_lists_are_part_of_the_settings_fingerprint_in_any_order() -> None:
    keys = [f"hmac:{i:016x}" for i in range(9)]
    one, other = (
        CoreSettings(canaries=frozenset(keys)),
        CoreSettings(canaries=frozenset(keys[::-1])),
    )

    assert one.fingerprint() == other.fingerprint()
    assert 2 == len({one.fingerprint(), CoreSettings().fingerprint()})
