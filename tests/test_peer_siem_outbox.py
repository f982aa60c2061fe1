"""The whole way: findings, incidents and outbox in front of three real receivers at once."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from alerts.deliverer import Deliverer
from alerts.destinations import Destinations
from alerts.incident import Action
from alerts.retry import Retry
from alerts.store import AlertStore
from alerts.store_query import Query
from schemas.finding import Entity, Finding
from tests.alerts_fakes import NOON, certificate, finding, rich
from tests.ocsf_schema import problems
from tests.peers.receivers import keys_in, syslog_ng, tenzir
from tests.test_peer_siem import HEC, TOKEN

pytestmark = pytest.mark.peer

COUNT, ENTITIES = 10_000, 500
WITHIN_S = 90.0
QUICK = Retry(first_s=0.1, cap_s=0.5, hold_s=0.5)


def findings() -> list[Finding]:
    """Of five hundred keys, in two sizes."""
    sizes = (finding(), rich())
    return [
        sizes[number % 2].model_copy(
            update={
                "id": f"f{number:05}",
                "entity": Entity(lane="credential", id=f"hmac:{number % ENTITIES:016x}"),
            }
        )
        for number in range(COUNT)
    ]


def until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_everything_arrives_everywhere_and_is_closed_where_its_incident_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEER_TOKEN", TOKEN)
    folders = [tmp_path / name for name in ("splunk", "elastic", "syslog")]
    for folder in folders:
        folder.mkdir()
    bulk = 'accept_elasticsearch "http://127.0.0.1:@PORT@", keep_actions=true'
    trusted, _ = certificate(folders[2])
    with (
        tenzir(folders[0], HEC) as splunk,
        tenzir(folders[1], bulk) as elastic,
        syslog_ng(folders[2], (trusted, folders[2] / "key.pem")) as syslog,
    ):
        url = "http://127.0.0.1:{}"
        token = {"token_env": "PEER_TOKEN"}
        destinations = Destinations(
            {
                "splunk": {"type": "splunk_hec", "url": url.format(splunk.port), **token},
                "elastic": {"type": "elastic", "url": url.format(elastic.port), **token},
                "syslog": {
                    "type": "syslog",
                    "host": "127.0.0.1",
                    "port": syslog.port,
                    "ca_file": str(trusted),
                },
            },
            tmp_path,
        )
        store = AlertStore(tmp_path / "tripmeter.db", destinations)
        deliverer = Deliverer(store.engine, destinations.open(store.engine), retry=QUICK)
        deliverer.start()
        made = findings()
        for start in range(0, COUNT, 1000):
            store.record(made[start : start + 1000], now=NOON)
            deliverer.wake()
            if start == 3000:  # one of them is away for a moment; the others do not wait for it
                elastic.kill()
                threading.Timer(2.0, elastic.start).start()
        until(lambda: _delivered(deliverer) >= 3 * COUNT, f"{deliverer.counts()}")
        (first,) = Query(store.engine).incidents(entity=made[0].entity.id)
        store.act(first.id, Action(verb="resolve", by="ana", at=NOON, reason="key revoked"))
        deliverer.wake()
        closes = first.count
        until(lambda: _delivered(deliverer) >= 3 * (COUNT + closes), f"{deliverer.counts()}")
        got = splunk.records(COUNT + closes)
        documents = elastic.records(2 * (COUNT + closes))
        lines = syslog.records(COUNT + closes)
        assert [] == deliverer.stop()
    keys = {f"{each.id}#{each.revision}" for each in made}
    hec = Counter(record["fields"]["key"] for record in got)
    closed = [record for record in got if record["fields"]["activity"] == "close"]
    assert keys | {record["fields"]["key"] for record in closed} == set(hec)
    assert {1} == set(hec.values())
    assert closes == len(closed) == len({each["event"]["finding_info"]["uid"] for each in closed})
    assert {("Close", "Resolved", "resolved by ana: key revoked")} == {
        tuple(each["event"][name] for name in ("activity_name", "status", "status_detail"))
        for each in closed
    }
    ids = [each["create"]["_id"] for each in documents if "create" in each]
    assert set(hec) == set(ids)  # some twice, maybe: it was killed, and a data stream knows better
    assert set(hec) == set(keys_in([each["sd"] for each in lines]))
    assert [] == [problem for each in closed for problem in problems(_as_sent(each["event"]))]


def _delivered(deliverer: Deliverer) -> int:
    return sum(states["delivered"] for states in deliverer.counts().values())


def _as_sent(event: dict[str, object]) -> dict[str, object]:
    """Without the nulls that Tenzir writes for what other records have."""
    return {
        name: _as_sent(value) if isinstance(value, dict) else value
        for name, value in event.items()
        if value is not None
    }
