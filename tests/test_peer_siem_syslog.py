"""Real rsyslog and syslog-ng, over TCP and TLS, also when they are killed in between."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alerts.cef import to_cef
from alerts.destinations import Destinations
from alerts.ocsf import body_of
from alerts.ocsf_fit import fitted
from alerts.syslog import SyslogSink
from tests.alerts_fakes import certificate, deliveries, rich
from tests.ocsf_schema import problems
from tests.peers.receivers import Receiver, hand_over, keys_in, rsyslog, syslog_ng
from tests.test_peer_siem import COUNT, many

pytestmark = pytest.mark.peer

Make = Callable[[Path, tuple[Path, Path] | None], Receiver]


def over(folder: Path, peer: Receiver, *, tls: Path | None, format: str = "cef") -> SyslogSink:
    """As the configuration makes it."""
    table: dict[str, Any] = {"type": "syslog", "host": "127.0.0.1", "port": peer.port}
    table |= {"tls": False} if tls is None else {"ca_file": str(tls)}
    (made,) = Destinations({"peer": {**table, "format": format}}, folder).open(folder / "unused.db")
    assert isinstance(made, SyslogSink)
    return made


def files(folder: Path, tls: bool) -> tuple[Path, Path] | None:
    """Certificate and key of the receiver."""
    return (certificate(folder)[0], folder / "key.pem") if tls else None


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("make", [rsyslog, syslog_ng])
def test_every_finding_arrives_once_with_its_text(tmp_path: Path, make: Make, tls: bool) -> None:
    sent = many()
    with make(tmp_path, pair := files(tmp_path, tls)) as peer:
        target = over(tmp_path, peer, tls=pair[0] if pair else None)
        hand_over(target, sent)
        target.close()
        got = peer.records(COUNT)
    assert Counter(each.key for each in sent) == Counter(keys_in([each["sd"] for each in got]))
    lines = {key: each["message"] for each in got for key in keys_in([each["sd"]])}
    assert [] == [each.key for each in sent if lines[each.key].strip() != to_cef(each)]


@pytest.mark.parametrize("make", [rsyslog, syslog_ng])
def test_the_ocsf_record_arrives_whole_and_valid(tmp_path: Path, make: Make) -> None:
    sent = many(1000)
    with make(tmp_path, None) as peer:
        target = over(tmp_path, peer, tls=None, format="json")
        hand_over(target, sent)
        target.close()
        got = peer.records(1000)
    records = {key: json.loads(each["message"]) for each in got for key in keys_in([each["sd"]])}
    assert {each.key for each in sent} == set(records)
    assert [] == [problem for record in records.values() for problem in problems(record)]
    short = [each for each in sent if len(fitted(body_of(each), 10**9)) < 7000]
    assert [] == [each.key for each in short if body_of(each) != records[each.key]]


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("make", [rsyslog, syslog_ng])
def test_a_receiver_that_is_killed_in_between_loses_nothing(
    tmp_path: Path, make: Make, tls: bool
) -> None:
    sent = deliveries(*(rich(id=f"f{number}") for number in range(6000)))
    with make(tmp_path, pair := files(tmp_path, tls)) as peer:
        target = over(tmp_path, peer, tls=pair[0] if pair else None)
        sender = threading.Thread(target=hand_over, args=(target, sent))
        sender.start()
        for half in (1000, 3000):
            while len(peer.lines()) < half and sender.is_alive():
                threading.Event().wait(0.02)
            peer.kill()
            peer.start()
        sender.join()
        target.close()
        got = Counter(keys_in([_structured(line) for line in peer.arrived(len(sent))]))
    again = target.resent
    assert set() == {each.key for each in sent} - set(got)
    assert sum(got.values()) - len(got) <= again  # every repetition is one we counted
    assert 0 < again


def _structured(line: str) -> str:
    """Of one line; a line that a kill cut off has none."""
    try:
        return str(json.loads(line)["sd"])
    except (ValueError, KeyError):
        return ""
