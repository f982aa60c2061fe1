"""What the Slack sink does: find, post, edit, reply, gather; each noted before and after it."""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from alerts.base import NotYet, Rejected, RetryLater
from alerts.memory import Memory
from alerts.slack_calls import DELETED, Calls, Gone, NotAllowed, Unsure
from alerts.slack_chart import Past, can_draw, draw, warm
from alerts.slack_digest import EVENT as DIGEST_EVENT
from alerts.slack_digest import Digest, absorb, to_digest_message
from alerts.slack_message import EVENT, Look, to_message
from alerts.slack_plan import Edit, Gather, LookUp, Post, Row, Say
from alerts.slack_thread import CHART, news
from alerts.slack_thread import EVENT as REPLY_EVENT
from alerts.slack_told import Place, Told, keep

TRIES = 4  # of what other calls work beside, until it is left out
AGAIN_S = 2.0  # between them

Doable = LookUp | Post | Edit | Say | Gather

log = logging.getLogger("tripmeter.alerts")


class Deeds:
    """Does them in one channel; use it from one thread.

    Args: as of `SlackSink`.
    Attributes:
        charts: whether one can be drawn and uploaded, as far as is known.
    """

    def __init__(
        self,
        name: str,
        channel: str,
        calls: Calls,
        memory: Memory,
        look: Look,
        *,
        charts: bool,
        past: Past = lambda finding: (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._channel = channel
        self._calls = calls
        self._memory = memory
        self._look = look
        self.charts = charts and can_draw()
        self._past = past
        self._wall = wall
        self._unkept: tuple[Mapping[str, Told], Mapping[str, str]] | None = None
        self._said: set[str] = set()
        self._tries: dict[str, tuple[int, int]] = {}  # of what fails just now
        self._works = 0  # messages that Slack took

    def settle(self) -> None:
        """Notes what was posted when the disk did not take it.

        Raises:
            sqlite3.Error, StoreDown: it still does not; nothing may be posted.
        """
        if self._unkept is not None:
            self._keep(*self._unkept)

    def do(self, deed: Doable) -> dict[str, Told]:
        """Does it; gives what is known of the incidents it concerned.

        Raises:
            RetryLater, Rejected: as Slack's answer says.
            sqlite3.Error, StoreDown: it could not be noted.
        """
        match deed:
            case Gather():
                changed = self._gather(deed)
            case LookUp(row):
                return {row.incident.id: self._look_up(row)}
            case Post(row):
                changed = {row.incident.id: self._post(row)}
            case Edit(row):
                changed = {row.incident.id: self._edit(row)}
            case Say(row, _):
                return {row.incident.id: self._say(deed)}
        self._works += 1
        return changed

    def _look_up(self, row: Row) -> Told:
        id, told = row.incident.id, row.told or Told()
        part, thread = told.part, told.place.ts if told.part and told.place else None

        def ours(message: dict[str, Any]) -> bool:
            if part == CHART:
                return any(f.get("name") == _file(id) for f in message.get("files") or ())
            return _payload(message, REPLY_EVENT if part else EVENT, id, part) is not None

        found, sure = self._found(id, part, told.begun or 0.0, ours, thread)
        after = told.but(begun=None, part="")
        if part:
            after = after.with_parts(part) if found is not None or not sure else after
        elif found is not None:
            payload = _payload(found, EVENT, id) or {}
            revision = payload.get("revision")
            channel = self._calls.id_of(self._channel)
            known = revision if isinstance(revision, int) else 0
            after = after.but(place=Place(channel, found["ts"]), revision=known)
            after = after.with_parts(*news(row.incident, told.begun))
        return self._keep({id: after})[id]

    def _found(
        self,
        id: str,
        part: str,
        since: float,
        ours: Callable[[dict[str, Any]], bool],
        thread: str | None = None,
    ) -> tuple[dict[str, Any] | None, bool]:
        """The message, if it is there, and whether we could look."""
        try:
            found = self._calls.find(self._channel, since, ours, thread)
            self._tries.pop(id + part, None)
            return found, True
        except NotAllowed:
            self._say_once(
                "without the scopes channels:history and groups:history nobody can see what was"
                " posted just before a crash; it may come twice"
            )
        except Gone:
            pass
        except Unsure as error:
            self._again(id, part, error)
            return None, False
        return None, True

    def _again(self, id: str, part: str, error: Unsure) -> None:
        """Tries again later, a reply beside everything else; returns when it is to be given up.

        A reply is given up only when other messages got through meanwhile: else Slack is down.
        """
        count, worked = self._tries.get(id + part, (0, self._works))
        if count < TRIES or (part and self._works == worked):
            self._tries[id + part] = (count + 1, worked)
            if part and count < TRIES:
                raise NotYet(str(error), AGAIN_S) from None
            raise error
        del self._tries[id + part]
        what = "a reply is left out" if part else "nobody can see whether it was posted; once more"
        log.warning("%s: %s: %s", self._name, what, error)

    def _post(self, row: Row) -> Told:
        id, now = row.incident.id, self._wall()
        before = row.told or Told()
        self._keep({id: before.but(begun=now, part="")})
        if self.charts and not self._works:
            warm()
        try:
            message = to_message(row.incident, row.finding, self._look)
            place = self._calls.post(message, self._channel)
        except Unsure:
            raise
        except (RetryLater, Rejected):
            self._keep({id: before})
            raise
        after = Told(place=place, revision=row.incident.revision, edited=now, replied=now)
        return self._keep({id: after.with_parts(*news(row.incident))})[id]

    def _edit(self, row: Row) -> Told:
        id, told = row.incident.id, row.told or Told()
        try:
            if told.place is not None:
                self._calls.edit(to_message(row.incident, row.finding, self._look), told.place)
        except Gone as error:
            if str(error) == DELETED or row.news or not row.incident.active:
                return self._keep({id: Told()})[id]  # it is posted anew
        after = told.but(revision=row.incident.revision, edited=self._wall())
        return self._keep({id: after})[id]

    def _say(self, deed: Say) -> Told:
        row, reply, now = deed.row, deed.reply, self._wall()
        id, told = row.incident.id, row.told or Told()
        place = told.place
        if place is None:
            return told
        picture = self._drawn(row) if reply.message is None else None
        self._keep({id: told.but(begun=now, part=reply.part)})
        try:
            if reply.message is not None:
                self._calls.post(reply.message, place.channel, place.ts)
            elif picture is not None:
                self._calls.upload(picture, _file(id), "The habit, and what broke it", place)
        except NotAllowed:
            if reply.part != CHART:
                self._keep({id: told})
                raise
            self.charts = False
            self._say_once("no charts: the bot lacks the scope files:write")
        except Unsure as error:
            self._again(id, reply.part, error)
        except RetryLater:
            self._keep({id: told})
            raise
        except (Rejected, Gone) as error:  # the message itself says what matters
            log.warning("%s: a reply is left out: %s", self._name, error)
        self._tries.pop(id + reply.part, None)
        after = told.with_parts(reply.part).but(findings=reply.findings, begun=None, part="")
        if reply.findings != told.findings:
            after = after.but(replied=now)
        return self._keep({id: after})[id]

    def _gather(self, deed: Gather) -> dict[str, Told]:
        now = self._wall()
        clock = datetime.fromtimestamp(now, UTC)
        digest = deed.digest
        if digest is None:
            first = min((row.incident.changed for row in deed.rows), default=clock)
            id = hashlib.blake2b(f"{self._name} {now} {deed.rows[0].key}".encode(), digest_size=10)
            digest = Digest(
                id=id.hexdigest(), kind=deed.kind, begun=min(first, clock), changed=clock
            )
        place = digest.place
        if place is None and digest.started is not None:
            place = self._lost(digest)
        grown, members = absorb(digest, [(row.incident, row.told) for row in deed.rows], clock)
        if not deed.show:
            return self._keep_digest(grown, members)
        message = to_digest_message(grown, self._look)
        if place is not None:
            try:
                self._calls.edit(message, place)
            except Gone:
                place = None
        if place is None:
            self._keep_digest(digest.model_copy(update={"place": None, "started": now}))
            try:
                place = self._calls.post(message, self._channel)
            except Unsure:
                raise
            except (RetryLater, Rejected):
                self._keep_digest(digest.model_copy(update={"place": None, "started": None}))
                raise
        shown = grown.model_copy(update={"place": place, "edited": now, "started": None})
        return self._keep_digest(shown, members)

    def _lost(self, digest: Digest) -> Place | None:
        def ours(message: dict[str, Any]) -> bool:
            return _payload(message, DIGEST_EVENT, digest.id) is not None

        found, _ = self._found(digest.id, "", digest.started or 0.0, ours)
        return Place(self._calls.id_of(self._channel), found["ts"]) if found else None

    def _keep_digest(
        self, digest: Digest, members: Mapping[str, Told] | None = None
    ) -> dict[str, Told]:
        also = {f"digest:{digest.id}": digest.model_dump_json()}
        return self._keep(members or {}, also | {f"current:{digest.kind}": digest.id})

    def _keep(
        self, told: Mapping[str, Told], also: Mapping[str, str] | None = None
    ) -> dict[str, Told]:
        self._unkept = (told, also or {})
        keep(self._memory, told, also)
        self._unkept = None
        return dict(told)

    def _drawn(self, row: Row) -> bytes | None:
        try:
            return draw(row.finding, self._past(row.finding))
        except Exception as error:  # a picture is not worth an alert
            log.warning("no chart of %s: %s", row.incident.id, type(error).__name__)
            return None

    def _say_once(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning("%s: %s", self._name, what)


def _payload(message: dict[str, Any], event: str, id: str, part: str = "") -> dict[str, Any] | None:
    """What our metadata says, when the message is this one."""
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    same = payload.get("uid") == id and payload.get("part", "") == part
    return payload if same and metadata.get("event_type") == event else None


def _file(incident: str) -> str:
    return f"tripmeter-{incident}.png"
