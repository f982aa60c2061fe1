"""The configuration file: defaults that explain themselves, and errors that say what to do."""

from pathlib import Path

import pytest

from streams.configuration import BadConfig, line_of, load
from streams.settings import Settings
from streams.wiring import EXTRAS, context, core_settings


def write(folder: Path, text: str) -> Path:
    file = folder / "tripmeter.toml"
    file.write_text(text)
    return file


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(BadConfig) as bad:
        load(write(folder, text))
    return str(bad.value).removeprefix(f"{folder}/")


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert Settings(base=tmp_path) == load(write(tmp_path, ""))


def test_an_unknown_key_is_named_with_its_line_and_its_neighbour(tmp_path: Path) -> None:
    assert ("tripmeter.toml:3: server.lisen: unknown key; did you mean 'listen'?") == complaint(
        tmp_path, '# mine\n[server]\nlisen = "127.0.0.1:1"\n'
    )


def test_an_unknown_table_is_named_with_its_line(tmp_path: Path) -> None:
    assert "tripmeter.toml:1: journl: unknown key; did you mean 'journal'?" == complaint(
        tmp_path, "[journl]\nkeep_days = 1\n"
    )


def test_an_unknown_key_of_a_named_token_is_found(tmp_path: Path) -> None:
    assert "tripmeter.toml:2: tokens.gw.tenant: unknown key; did you mean 'tenants'?" == complaint(
        tmp_path, '[tokens.gw]\ntenant = "acme"\n'
    )


def test_a_wrong_value_is_named_without_being_repeated(tmp_path: Path) -> None:
    message = complaint(tmp_path, '[journal]\nkeep_days = "s3cret"\n')
    assert message.startswith("tripmeter.toml:2: journal.keep_days: ")
    assert "s3cret" not in message


def test_listening_to_the_world_must_be_meant(tmp_path: Path) -> None:
    text = '[server]\nlisten = "0.0.0.0:8787"\n'
    assert "set allow_remote = true" in complaint(tmp_path, text)
    assert load(write(tmp_path, text + "allow_remote = true\n")).server.allow_remote


@pytest.mark.parametrize("listen", ["8787", "localhost", "127.0.0.1:", "127.0.0.1:99999"])
def test_an_address_without_a_usable_port_is_refused(tmp_path: Path, listen: str) -> None:
    assert "write it as address:port" in complaint(tmp_path, f'[server]\nlisten = "{listen}"\n')


def test_broken_toml_is_told_by_line(tmp_path: Path) -> None:
    assert complaint(tmp_path, "[server]\nlisten = \n").startswith("tripmeter.toml:2: not TOML: ")


def test_a_missing_file_and_a_binary_one_are_explained(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="tripmeter init"):
        load(tmp_path / "none.toml")
    (tmp_path / "bin.toml").write_bytes(b"\n\xff\xfe")
    with pytest.raises(BadConfig, match=r"bin\.toml:2: not UTF-8"):
        load(tmp_path / "bin.toml")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    message = complaint(tmp_path, "[journal]\nkeep_days = 0\n[quarantine]\nkeep_days = 0\n")
    assert 2 == len(message.splitlines())


def test_a_key_is_found_in_dotted_quoted_and_nested_spellings() -> None:
    text = 'server.listen = 1\n["tokens"."a b"]\n"tenants" = []\n'
    assert 1 == line_of(text, ("server", "listen"))
    assert 3 == line_of(text, ("tokens", "a b", "tenants", 0))
    assert 2 == line_of(text, ("tokens", "a b", "other"))
    assert 0 == line_of(text, ("journal", "keep_days"))


ENDLESS = '[[exceptions]]\ndetector = "key-probe"\nowner = "ana"\nreason = "r"\n'
ENDS = ENDLESS + "until = 2027-01-31T00:00:00Z\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[tenants.acme]\nkey-prob = "off"\n', "2: tenants.acme.key-prob: unknown key; did you"),
        ('[tenants.acme]\nkey-probe = "on"\n', "2: tenants.acme.key-probe: Input should be"),
        (ENDS.replace("key-probe", "key-prob"), "2: exceptions.0.detector: unknown detector; did"),
        (ENDLESS, "1: exceptions.0.until: Field required"),
        (ENDS.replace("detector", "#"), "1: exceptions.0: name a detector, an entity or a tenant"),
        (ENDS + "whi = 1\n", "6: exceptions.0.whi: unknown key; known here: detector, entity"),
    ],
)
def test_modes_of_tenants_and_exceptions_are_checked(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(BadConfig) as bad:
        load(write(tmp_path, text), EXTRAS)

    assert str(bad.value).startswith(f"{tmp_path}/tripmeter.toml:{line}")


def test_modes_of_tenants_and_exceptions_reach_the_core(tmp_path: Path) -> None:
    settings = load(write(tmp_path, '[tenants.acme]\nkey-probe = "off"\n' + ENDS), EXTRAS)
    core = core_settings(settings)

    assert {"acme": {"key-probe": "off"}} == core.tenants
    assert ["ana"] == [one.owner for one in core.exceptions]


PRICES = (
    '[[prices]]\nmodel = "gpt-4o"\ninput = 1.0\noutput = 2.0\ndate = 2027-01-02\nsource = "us"\n'
)


def test_an_operators_prices_go_before_list_prices(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(PRICES)
    settings = load(write(tmp_path, '[adapters]\nprices_file = "prices.toml"\n'), EXTRAS)
    call = {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 1_000_000}

    table = context(settings, b"").prices
    assert table is not None
    assert (1.0, "price_table@2027-01-02") == table.estimate(call)
    assert "2027-01-02" == core_settings(settings).prices


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file or directory"),
        (PRICES.replace("1.0", "-1"), "prices.toml: entry 1: input: "),
        ("[[price]]", "prices.toml: needs a list named `prices`"),
    ],
)
def test_prices_that_cannot_be_read_are_refused(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    if text is not None:
        (tmp_path / "prices.toml").write_text(text)

    with pytest.raises(BadConfig) as bad:
        load(write(tmp_path, '[adapters]\nprices_file = "prices.toml"\n'), EXTRAS)

    assert f"tripmeter.toml:2: adapters.prices_file: {reason}" in str(bad.value)
