"""What follows when somebody presses: the same deeds as on the command line, at the same desk."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from slack_sdk.errors import SlackClientError

from alerts.base import Rejected, RetryLater
from alerts.feed.audit import Audit
from alerts.feed.tables import METADATA
from alerts.incident import Action, Incident, NotPossible
from alerts.incident_desk import Desk
from alerts.silences import BadSilence, Preview
from alerts.slack import SlackSink
from alerts.slack_calls import Gone
from alerts.slack_modals import end_of, form, refusal, runbook
from alerts.slack_press import Press, read
from alerts.slack_text import words
from alerts.store import UnknownIncident
from alerts.store_engine import writing
from alerts.store_query import Query
from schemas.finding import Finding

DIRECT = frozenset({"ack", "resolve", "reopen"})

log = logging.getLogger("tripmeter.alerts")


class Answers:
    """Answers presses in the channels of some sinks; any thread may use it.

    Args:
        desk: where people decide.
        wake: says that there is something new to tell.
    """

    def __init__(
        self,
        sinks: Sequence[SlackSink],
        desk: Desk,
        wake: Callable[[], object] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sinks = tuple(sinks)
        self._desk = desk
        self._query = Query(desk.store.engine)
        self._audit = Audit(desk.store.engine, lambda: now().timestamp())
        self._wake = wake
        self._now = now
        self._audited = False

    def handle(self, payload: Any) -> dict[str, Any] | None:
        """Does what a payload asks for; gives what the form shows, where there is something.

        Never raises: what cannot be done is told to whoever pressed, and to the log.
        """
        press = read(payload)
        if press is None:
            return None
        try:
            return self._handle(press)
        except (NotPossible, BadSilence, UnknownIncident) as error:
            return self._tell(press, str(error))
        except (sqlite3.Error, OSError) as error:
            log.error("Slack: %s was not stored: %s", press.verb, type(error).__name__)
            return self._tell(press, "It could not be stored; press again in a moment.")
        except (RetryLater, Rejected, Gone) as error:
            log.warning("Slack: %s: %s", press.verb, error)
        except Exception as error:  # a listener that ends would be silence
            log.error("Slack: %s: unexpected %s", press.verb, type(error).__name__)
        return None

    def _handle(self, press: Press) -> dict[str, Any] | None:
        sink = self._sink(press)
        if sink is None:  # not told here: nobody can have pressed that
            self._note(press, "slack refused", "no such incident in this channel")
            return None
        if press.verb == "runbook":
            incident, finding = self._story(press.incident)
            page = sink.look.page(incident.id)
            self._open(sink, press, runbook(incident, finding, page))
            return None
        if not sink.people.may(press):
            self._note(press, "slack refused", press.verb)
            return self._tell(press, "You may not decide here; ask those who run Tripmeter.")
        if press.verb in DIRECT or press.form is not None:
            self._act(press)
        else:
            incident, _ = self._story(press.incident)
            previews = self._previews(press) if press.verb == "expected" else []
            self._open(sink, press, form(press.verb, incident, press.channel, previews))
        return None

    def _sink(self, press: Press) -> SlackSink | None:
        for sink in self._sinks:
            place = sink.place_of(press.incident)
            if place is not None and place.channel == press.channel:
                return sink
        return None

    def _act(self, press: Press) -> None:
        given = press.form or {}
        action = self._action(press, given.get("reason", "").strip(), given.get("lasts", ""))
        self._desk.act(press.incident, action)
        self._note(press, f"slack {press.verb}", action.reason)
        self._wake()

    def _action(self, press: Press, reason: str, lasts: str = "") -> Action:
        now = self._now()
        assert press.verb != "runbook"  # noqa: S101  (nobody decides anything there)
        until = end_of(press.verb, lasts, now)
        return Action(verb=press.verb, by=press.by, at=now, reason=reason, until=until)

    def _previews(self, press: Press) -> list[tuple[str, Preview]]:
        controls = self._desk.expected(press.incident, self._action(press, "preview"))
        return [(each.detector or "", self._desk.preview(each)) for each in controls]

    def _story(self, id: str) -> tuple[Incident, Finding]:
        incident = self._query.incident(id)
        found = self._query.findings_of(id)
        if incident is None or not found:
            raise UnknownIncident("this incident is not kept any more")
        return incident, Finding.model_validate(found[-1])

    def _open(self, sink: SlackSink, press: Press, view: dict[str, Any]) -> None:
        sink.calls.ask("views_open", trigger_id=press.trigger, view=view)

    def _tell(self, press: Press, reason: str) -> dict[str, Any] | None:
        """Only whoever pressed sees it."""
        if press.form is not None:
            return refusal(reason)
        sink = next((each for each in self._sinks if self._is_in(each, press)), None)
        if sink is not None:
            told = {"channel": press.channel, "user": press.user, "text": words(reason, 300)}
            try:
                sink.calls.ask("chat_postEphemeral", **told)
            except (RetryLater, Rejected, Gone, SlackClientError) as error:
                log.warning("Slack: %s", error)
        return None

    def _is_in(self, sink: SlackSink, press: Press) -> bool:
        place = sink.place_of(press.incident)
        return place is not None and place.channel == press.channel

    def _note(self, press: Press, what: str, detail: str) -> None:
        if not self._audited:
            with writing(self._desk.store.engine) as connection:
                METADATA.create_all(connection)
            self._audited = True
        self._audit.note(press.by, what, press.incident, detail, press.channel)
