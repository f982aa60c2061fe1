"""Each fault of a destination, over a real socket: nothing is lost, nobody else waits, told once.

In every test ten findings wait for a destination that fails and for one that works. The one that
works has all of them within a second; the operator is told as often as stated, through it; after
the destination was mended it has all of them, under the same keys.
"""

import re
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from schemas.finding import Severity
from tests.alerts_fakes import certificate, finding
from tests.faults import Behave, Collector, Site, answer, reset, says, take, until

pytestmark = pytest.mark.slow

IDS = [f"f-{number}" for number in range(10)]
KEYS = {f"{id}#1" for id in IDS}
DELAY_S = 1.0


class Trial:
    """A site, its fault, and what must hold."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.site: Site | None = None
        self._calm_s = 0.0

    def begin(self, broken: Collector, **settings: Any) -> Site:
        self.site = Site(self._folder, broken, min_severity="medium", **settings)
        for id in ("warm", "calm"):  # imports are not what is measured
            self.site.found([finding(id, severity=Severity.LOW)])
            until(partial(self.site.fine.times.__contains__, f"{id}#1"))
        self._calm_s = self.site.fine.times["calm#1"] - self.site.queued["calm#1"]
        self.site.queued.clear()
        return self.site

    def survives(
        self,
        behave: Behave,
        *,
        told: int,
        mend: Callable[[Site], None] = lambda site: site.broken.mend(),
        tries: int = 3,
        broken: Collector | None = None,
        dead: int = 0,
        **settings: Any,
    ) -> Site:
        """Tries a fault for so many requests, mends it, and checks."""
        broken = broken or Collector()
        broken.behave = behave
        site = self.begin(broken, **settings)
        site.found([finding(id) for id in IDS])
        until(lambda: set(site.fine.taken) >= KEYS, lambda: site.fine.taken)
        if told:
            until(lambda: site.told)
        until(lambda: len(broken.requests) >= tries, lambda: broken.requests)
        mend(site)
        self.ends_well(told, dead)
        return site

    def ends_well(self, told: int, dead: int = 0) -> None:
        site = self.site
        assert site is not None
        everyone = len(KEYS) + 2 * told  # that it was held, and that it is over
        until(lambda: site.status().delivered + dead >= everyone, site.status)
        assert dead == len(KEYS - set(site.broken.taken))
        assert (told, dead) == (len(site.told), site.status().dead), site.told
        bound = DELAY_S + self._calm_s  # on a machine that is busy with other things
        late = {k: site.fine.times[k] - at for k, at in site.queued.items()}
        assert {} == {key: delay for key, delay in late.items() if delay > bound}
        assert len(site.fine.taken) == len(set(site.fine.taken))
        assert (0, 0, None) == (site.status().waiting, site.status().held, site.status().on_hold)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    trial = Trial(tmp_path)
    yield trial
    if trial.site is not None:
        trial.site.close()


def test_refuse(trial: Trial) -> None:
    broken = Collector()
    broken.refuse()
    site = trial.begin(broken)
    site.found([finding(id) for id in IDS])
    until(lambda: set(site.fine.taken) >= KEYS and site.status().last_error)
    broken.reopen()
    trial.ends_well(told=0)
    assert KEYS == set(broken.taken)


def test_hang(trial: Trial) -> None:
    def hang(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        collector.released.wait(30)

    trial.survives(hang, told=0, tries=2)


def test_reset_mid_body(trial: Trial) -> None:
    def behave(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        if len(collector.requests) % 2:  # it may have been taken, we cannot know
            collector.taken += keys
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"text":"Suc')
        reset(connection)

    site = trial.survives(behave, told=0)
    assert KEYS == set(site.broken.taken)


def test_200_with_errors_inside(trial: Trial) -> None:
    trial.survives(says(200, {"text": "Server is busy", "code": 9}), told=0)


def test_400_for_one_record(trial: Trial) -> None:
    def behave(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        if "f-3#1" in keys:
            answer(connection, 400, {"text": "Invalid data format", "code": 6})
        else:
            take(collector, connection, keys)

    site = trial.survives(behave, told=0, dead=1, mend=lambda site: None)
    assert KEYS - {"f-3#1"} == set(site.broken.taken)


def test_401(trial: Trial) -> None:
    trial.survives(says(401, {"text": "Token is required", "code": 2}), told=1)


def test_403(trial: Trial) -> None:
    trial.survives(says(403, {"text": "Invalid token", "code": 4}), told=1)


def test_404(trial: Trial) -> None:
    trial.survives(says(404, {"text": "Not found"}), told=1)


def test_409_means_it_is_there_already(trial: Trial) -> None:
    def behave(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        ids = re.findall(rb'"_id": ?"([^"]+)"', collector.body)
        collector.taken += [id.decode() for id in ids]
        item = {"create": {"status": 409, "error": {"type": "version_conflict_engine_exception"}}}
        answer(connection, 200, {"errors": True, "items": [item] * len(ids)})

    trial.survives(
        behave, told=0, tries=1, mend=lambda site: None, type="elastic", index="findings"
    )


def test_413_is_halved_until_it_fits(trial: Trial) -> None:
    def behave(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        if len(keys) > 2:
            answer(connection, 413, {"text": "too large"})
        else:
            take(collector, connection, keys)

    site = trial.survives(behave, told=0, mend=lambda site: None)
    assert KEYS == set(site.broken.taken)


def test_429_with_retry_after(trial: Trial) -> None:
    busy = says(429, {"text": "busy"}, "Retry-After: 1\r\n")
    site = trial.survives(busy, told=0, tries=2)
    (first, _), (second, _) = site.broken.requests[:2]
    assert 1.0 <= second - first


def test_429_without_retry_after(trial: Trial) -> None:
    trial.survives(says(429, {"text": "busy"}), told=0)


def test_500(trial: Trial) -> None:
    trial.survives(says(500), told=0)


def test_503(trial: Trial) -> None:
    trial.survives(says(503), told=0)


def test_slow_one_byte_a_second(trial: Trial) -> None:
    def behave(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n":
            connection.sendall(bytes([byte]))
            if collector.released.wait(1.0):
                return

    trial.survives(behave, told=0, tries=2)


def test_bad_tls(trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    path, good = certificate(tmp_path / "good")
    _, bad = certificate(tmp_path / "bad")
    broken = Collector(tls=bad)

    def mend(site: Site) -> None:
        broken.tls = good

    site = trial.begin(broken, ca_file=str(path))
    site.found([finding(id) for id in IDS])
    until(lambda: site.told and set(site.fine.taken) >= KEYS)
    assert ([], True) == (broken.requests, "TLS" in site.told[0])  # no token was sent
    mend(site)
    trial.ends_well(told=1)


def test_dns_failure(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Collector()
    real, known = socket.getaddrinfo, []

    def resolve(host: Any, *arguments: Any, **named: Any) -> Any:
        if host in ("siem.example", b"siem.example"):
            if not known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "127.0.0.1"
        return real(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = f"http://siem.example:{broken.port}"
    site = trial.begin(broken, url=url, allow_http=True)
    site.found([finding(id) for id in IDS])
    until(lambda: site.told and set(site.fine.taken) >= KEYS)
    assert "the host name does not resolve" in site.told[0]
    known.append(True)
    trial.ends_well(told=1)


def test_an_expired_token_that_is_replaced(trial: Trial) -> None:
    def behave(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        if collector.tokens[-1] != b"hec-new-0123456789":
            answer(connection, 403, {"text": "Invalid token", "code": 4})
        else:
            take(collector, connection, keys)

    def mend(site: Site) -> None:
        token.write_text("hec-new-0123456789\n")

    token = trial._folder / "new-token"
    token.write_text("hec-old-0123456789\n")
    trial.survives(behave, told=1, mend=mend, token_file=str(token))


def test_disk_full_while_a_delivery_is_noted(trial: Trial) -> None:
    broken = Collector()
    full: list[bool] = []

    def behave(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        if not full:
            full.append(True)
        take(collector, connection, keys)

    broken.behave = behave
    site = trial.begin(broken)

    def pages(connection: Any, *_: Any) -> None:
        limit = 1 if full == [True] else 1_000_000  # SQLite takes what is used as the least
        connection.execute(f"PRAGMA max_page_count={limit}")

    event.listen(site.store.engine, "checkout", pages)
    site.found([finding(id) for id in IDS])
    until(lambda: set(broken.taken) >= KEYS and set(site.fine.taken) >= KEYS)
    time.sleep(0.3)
    full.append(False)
    trial.ends_well(told=0)
    assert len(broken.taken) == len(set(broken.taken)), "noted later, not sent again"
