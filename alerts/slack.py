"""Incidents into a Slack channel: one message each, edited in place, with the story in a thread.

`slack_plan` says what is next, `slack_deeds` does it. Where a message is, and that it is about to
be posted, is kept before anything else happens: after a crash it is looked up in the channel by
its metadata, and edited instead of posted again.
"""

import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from alerts.base import Delivery, NotYet, Partly, Rejected, RetryLater
from alerts.incident import Incident, Policy
from alerts.incident_steps import receive
from alerts.memory import Memory
from alerts.slack_calls import Calls, NotAllowed
from alerts.slack_chart import Past
from alerts.slack_deeds import Deeds, Doable
from alerts.slack_digest import Digest, Kind
from alerts.slack_hours import QuietHours
from alerts.slack_message import Look
from alerts.slack_people import People
from alerts.slack_plan import Edit, Flow, Post, Row, State, Wait, choose, done
from alerts.slack_settings import Presses
from alerts.slack_told import Place, recall
from alerts.store_engine import StoreDown

KINDS: tuple[Kind, ...] = ("flood", "quiet")


class SlackSink:
    """One channel.

    Args:
        channel: its id, or #name.
        memory: durable; holds where each incident was posted.
        flow: how many messages of their own incidents get before a digest begins.
        thread: whether messages have threads.
        past: closed windows of a finding's key, for the picture.
        people: who may press.
        press: how presses reach us; None when they do not.
    """

    batch: ClassVar[int] = 500

    def __init__(
        self,
        name: str,
        channel: str,
        calls: Calls,
        memory: Memory,
        *,
        look: Look | None = None,
        hours: QuietHours | None = None,
        flow: Flow | None = None,
        thread: bool = True,
        charts: bool = True,
        past: Past = lambda finding: (),
        people: People | None = None,
        press: Presses | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.channel = channel
        self.calls = calls
        self.look = look or Look()
        self.people = people or People(calls, ())
        self.press = press
        self._memory = memory
        self._hours = hours
        self._flow = flow or Flow()
        self._thread = thread
        self._wall = wall
        self._deeds = Deeds(
            name, channel, calls, memory, self.look,
            charts=charts and thread, past=past, wall=wall,
        )  # fmt: skip

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Does what is most urgent, and says what is done.

        Raises:
            RetryLater, Rejected: as Slack's answer says.
            Partly: these are done; the rest comes again at once, or after a while.
        """
        try:
            self._deeds.settle()
            rows = self._rows(deliveries)
            state = self._state(rows)
            deed = choose(rows, state)
            after_s = deed.seconds if isinstance(deed, Wait) else 0.0
            if deed is not None and not isinstance(deed, Wait):
                rows = self._done(deed, rows)
        except (sqlite3.Error, StoreDown):
            raise RetryLater("where messages are could not be stored") from None
        state = self._state(rows)
        taken = frozenset(row.key for row in rows if done(row, state))
        if len(taken) < len(rows):
            raise Partly(taken, later=NotYet("there is more to tell", after_s))

    def probe(self) -> str:
        """Whether the token works and the bot sees the channel.

        Raises:
            RetryLater: it does not work, and why.
        """
        who = self.calls.ask("auth_test")
        told = f"the token is of {who.get('user', 'a bot')} in {who.get('team', 'a workspace')}"
        try:
            id = self.calls.id_of(self.channel)
            info = self.calls.ask("conversations_info", channel=id).get("channel") or {}
        except NotAllowed:
            return f"{told}; without the scope channels:read the channel cannot be looked up"
        if info.get("is_archived"):
            raise RetryLater(f"Slack: {self.channel} is archived", operator=True)
        if not info.get("is_member", True):
            raise RetryLater(f"Slack: invite the bot into {self.channel}", operator=True)
        return f"{told}; it is in {self.channel}"

    def place_of(self, incident: str) -> Place | None:
        """Where an incident (or the digest that stands for it) is; None when nobody was told."""
        told = recall(self._memory, [incident]).get(incident)
        if told is None:
            return None
        if told.place is None and told.digest:
            digest = self._digests([told.digest]).get(told.digest)
            return digest.place if digest else None
        return told.place

    def close(self) -> None:
        """Nothing to do: connections belong to the store."""

    def _rows(self, deliveries: Sequence[Delivery]) -> list[Row]:
        pairs = [(each, each.incident or _alone(each)) for each in deliveries]
        told = recall(self._memory, [incident.id for _, incident in pairs])
        return [Row(d.key, incident, d.finding, told.get(incident.id)) for d, incident in pairs]

    def _state(self, rows: Sequence[Row]) -> State:
        names = [f"current:{kind}" for kind in KINDS]
        current = self._memory.get_all(names)
        ids = {row.told.digest for row in rows if row.told is not None and row.told.digest}
        digests = self._digests(ids.union(current.values()))
        now = self._wall()
        clock = datetime.fromtimestamp(now, UTC)
        growing = {
            kind: digest
            for kind in KINDS
            if (digest := digests.get(current.get(f"current:{kind}", "")))
            and digest.grows(kind, clock)
        }
        return State(
            now,
            self._flow,
            digests,
            growing,
            self._hours,
            charts=self._deeds.charts,
            thread=self._thread,
        )

    def _digests(self, ids: Collection[str]) -> dict[str, Digest]:
        texts = self._memory.get_all(f"digest:{id}" for id in ids)
        found = map(Digest.model_validate_json, texts.values())
        return {digest.id: digest for digest in found}

    def _done(self, deed: Doable, rows: list[Row]) -> list[Row]:
        try:
            changed = self._deeds.do(deed)
        except Rejected as error:
            if len(rows) == 1 or not isinstance(deed, Post | Edit):
                raise
            later = NotYet("there is more to tell", 0.0)
            raise Partly(frozenset(), {deed.row.key: str(error)}, later) from None
        if isinstance(deed, Post):
            self._flow.posted(self._wall(), critical=deed.row.critical)
        return [
            Row(row.key, row.incident, row.finding, changed.get(row.incident.id, row.told))
            for row in rows
        ]


def _alone(delivery: Delivery) -> Incident:
    """The incident that a finding alone would open."""
    return receive(None, delivery.finding, delivery.finding.time, Policy())
