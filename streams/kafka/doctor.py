"""What may be wrong around this process: versions, brokers, clock, topics, lag, balance, disk.

A check gives one `Check`; none stops another. Nothing is changed, but for one tiny record on the
health topic, whose broker time tells how far the clocks are apart.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from streams.configuration import BadConfig
from streams.kafka import clients, installation
from streams.kafka.lag import Lag, measure_with
from streams.kafka.provision import check
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names

State = Literal["fine", "look", "wrong"]

OLDEST_BROKER = (3, 0)  # tested with 4.1 and 4.3; older ones lack what administration asks
LIBRARIES = {  # name -> at least, below; the pins of the extra `kafka`, and why
    "kafka-python": ((3, 0, 12), (4,)),
    "aiokafka": ((0, 13), (1,)),
    "faust-streaming": ((0, 15, 3), (0, 16)),  # 0.13.1 to 0.14.1 break every rebalance
}
CLOCK_LOOK_S, CLOCK_WRONG_S = 1.0, 60.0
UNEVEN = 4.0  # times the mean of all partitions
UNEVEN_FROM = 10_000  # records; fewer say nothing about balance
LAG_LOOK = 100_000  # records: a few seconds of work
DISK_WRONG = 0.1  # free share of a broker's disk


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: `look` may be meant, `wrong` is not."""

    name: str
    state: State
    what: str
    remedy: str = ""

    def shown(self) -> dict[str, str]:
        """As JSON values."""
        return asdict(self)


def examine(kafka: KafkaSettings, base: Path, data: Path) -> Iterator[Check]:
    """Every check; without a broker only those that need none."""
    yield from versions()
    try:
        admin = clients.admin(kafka, base)
    except clients.BrokerAway as error:
        yield Check("broker", "wrong", str(error), "start the broker, or correct [kafka]")
        return
    except BadConfig as error:
        yield Check("broker", "wrong", str(error), "correct [kafka]")
        return
    try:
        yield from _safely("broker", lambda: [broker(admin)])
        yield from _safely("topics", lambda: topics(admin, kafka, base, data))
        yield from _safely("clock", lambda: [clock(admin, kafka, base)])
        yield from _safely("lag", lambda: _groups(admin, kafka))
        yield from _safely("disk", lambda: disk(admin))
    finally:
        admin.close()


def _safely(name: str, work: Callable[[], Sequence[Check]]) -> Sequence[Check]:
    from kafka.errors import KafkaError

    try:
        return work()
    except (KafkaError, clients.BrokerAway, BadConfig, TimeoutError) as error:
        what = str(error) if isinstance(error, BadConfig) else type(error).__name__
        return [Check(name, "wrong", what, "see the broker's log; may this user do that?")]


def versions() -> Iterator[Check]:
    """Our libraries against what was tested."""
    python = ".".join(map(str, sys.version_info[:3]))
    state: State = "fine" if sys.version_info >= (3, 11) else "wrong"
    yield Check("python", state, python, "" if state == "fine" else "3.11 or newer is needed")
    for name, (low, below) in LIBRARIES.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Check(name, "wrong", "is not installed", "pip install '.[kafka]'")
            continue
        good = low <= _numbers(found) < below
        remedy = "" if good else "pip install --upgrade '.[kafka]'"
        yield Check(name, "fine" if good else "wrong", found, remedy)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def broker(admin: Any) -> Check:
    """How many there are, and how old."""
    cluster = admin.describe_cluster()
    brokers = [one for one in cluster["brokers"] if not one.get("is_fenced")]
    found = admin.get_broker_version_data(brokers[0]["broker_id"]).broker_version
    what = f"{len(brokers)} reachable, Kafka {'.'.join(map(str, found))}"
    if tuple(found) < OLDEST_BROKER:
        return Check("broker", "wrong", what, "3.0 or newer is needed")
    return Check("broker", "fine", what)


def topics(admin: Any, kafka: KafkaSettings, base: Path, data: Path) -> list[Check]:
    """What `tripmeter topics --check` says, and whether this process may take part."""
    agreed = installation.read(kafka, base)
    found = check(admin, agreed.settle(kafka) if agreed else kafka)
    checks = [Check("topics", "wrong", f"{one.topic}: {one.what}", one.remedy) for one in found]
    if not checks:
        checks = [Check("topics", "fine", "all are as needed")]
    try:
        pepper = installation.find_pepper(kafka, base, data)
        known = installation.agree(kafka, base, pepper).pepper
    except BadConfig as error:
        return [*checks, Check("pepper", "wrong", str(error))]
    if pepper is None and known is not None:
        return [*checks, Check("pepper", "look", f"{known} is the installation's, none is here",
                               "only needed where raw records are read")]  # fmt: skip
    return [*checks, Check("pepper", "fine", known or "none yet")]


def clock(admin: Any, kafka: KafkaSettings, base: Path) -> Check:
    """Our clock against the broker's, from the time it gave to a record."""
    topic = Names(kafka.prefix).health
    if topic not in admin.list_topics():
        return Check("clock", "look", f"not compared: there is no {topic}", "create the topics")
    producer = clients.producer(kafka, base, client="doctor", linger_ms=0)
    try:
        producer.partitions_for(topic)  # so that the next step is one round trip
        begun = time.time()
        record = json.dumps({"kind": "doctor", "clock": begun}).encode()
        told = producer.send(topic, record, key=b"doctor").get(timeout=kafka.request_timeout_s)
        took = time.time() - begun
    finally:
        producer.close()
    return judged_clock(told.timestamp / 1000 - (begun + took / 2), took)


def judged_clock(ahead_s: float, took_s: float) -> Check:
    """A verdict over the broker's clock minus ours, known to half a round trip.

    >>> judged_clock(-70.0, 0.01).state, judged_clock(0.2, 0.01).state
    ('wrong', 'fine')
    """
    surely = max(0.0, abs(ahead_s) - took_s / 2)
    what = f"the broker's is {abs(ahead_s):.3f} s {'ahead' if ahead_s > 0 else 'behind'}"
    remedy = "" if surely <= CLOCK_LOOK_S else "let NTP or chrony set both clocks"
    if surely > CLOCK_WRONG_S:
        return Check("clock", "wrong", what, remedy)
    return Check("clock", "look" if remedy else "fine", what, remedy)


def _groups(admin: Any, kafka: KafkaSettings) -> list[Check]:
    names = Names(kafka.prefix)
    groups = admin.describe_groups([names.worker_group, names.deliver_group])
    members = {name: len(group["members"]) for name, group in groups.items()}
    lag = clients.patiently(kafka, lambda: measure_with(admin, kafka))
    return judged_lag(lag, members[names.worker_group], members[names.deliver_group])


def judged_lag(lag: Lag, workers: int, delivering: int) -> list[Check]:
    """A verdict over what waits, who works on it, and how evenly it is spread."""
    what = f"{lag.total} records wait for {workers} workers"
    state: State = "fine"
    remedy = ""
    if not workers:
        state, remedy = ("wrong" if lag.total else "look"), "start `tripmeter worker`"
    elif lag.total > LAG_LOOK:
        state, remedy = "look", "add a worker if it keeps growing"
    checks = [Check("lag", state, what, remedy)]
    if lost := sum(part.lost for part in lag.workers):
        remedy = "raise kafka.events_keep_hours and events_keep_bytes, or add workers"
        checks.append(Check("lost", "wrong", f"{lost} records left unread", remedy))
    waiting = sum(part.lag for part in lag.deliver)
    what = f"{waiting} findings wait for {delivering} deliver"
    state = "fine" if delivering else "wrong" if waiting else "look"
    checks.append(Check("deliver", state, what, "" if delivering else "start `tripmeter deliver`"))
    return [*checks, balance(lag)]


def balance(lag: Lag) -> Check:
    """Whether one partition has far more waiting than the others of its topic."""
    by_topic: dict[str, list[int]] = {}
    for part in lag.workers:
        by_topic.setdefault(part.topic, []).append(part.lag)
    for topic, waits in by_topic.items():
        mean = sum(waits) / len(waits)
        if max(waits) >= UNEVEN_FROM and max(waits) > UNEVEN * mean:
            what = f"{topic}: {max(waits)} of {sum(waits)} waiting records are in one partition"
            return Check("skew", "look", what, "give producers more keys, or none at all")
    return Check("skew", "fine", "no partition is far behind the others")


def disk(admin: Any) -> list[Check]:
    """Room on the brokers' disks, where they tell."""
    checks = []
    for one in admin.describe_log_dirs():
        for folder in one["log_dirs"]:
            total, free = folder.get("total_bytes", -1), folder.get("usable_bytes", -1)
            if total <= 0:
                continue
            what = f"broker {one['broker']}: {free / total:.0%} of its disk is free"
            bad = free / total < DISK_WRONG
            remedy = "lower kafka.events_keep_bytes, or add disk" if bad else ""
            checks.append(Check("disk", "wrong" if bad else "fine", what, remedy))
    return checks
