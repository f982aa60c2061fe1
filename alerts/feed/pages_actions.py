"""What analysts do: to one incident or many, with a preview of what it means; and silences."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.feed.context import Feed, until
from alerts.feed.identity import Denied, Identity
from alerts.incident import MAX_TOLD, Action, Incident, NotPossible, Verb
from alerts.incident_desk import EXPECTED
from alerts.silences import BadSilence, Preview
from alerts.store import UnknownIncident
from schemas.finding import LANES, Entity

MAX_BULK = 500  # incidents acted on at once
WORDS = {
    "ack": "Acknowledge",
    "snooze": "Snooze",
    "resolve": "Resolve",
    "false_positive": "False positive",
    "expected": "Expected",
    "reopen": "Reopen",
    "note": "Add a note",
    "assign": "Assign",
}
SHARED = "other tenants use it, too; somebody who sees every tenant has to decide that"
VERDICTS = ("a real attack", "a fault of ours", "harmless", "a test")  # of what is resolved
SPANS = ("1h", "4h", "24h", "7d", "30d")


@dataclass(frozen=True, slots=True)
class Deed:
    """What a form asks for."""

    verb: Verb
    reason: str = ""
    lasts: str = ""
    owner: str = ""

    def action(self, who: Identity, now: datetime) -> Action:
        """As the desk takes it.

        Raises:
            Denied: 400, and what is wrong.
        """
        try:
            end = until(self.lasts, now) if self.verb in ("ack", "snooze", "expected") else None
        except ValueError as error:
            raise Denied(400, str(error)) from None
        owner = (self.owner.strip()[:128] or None) if self.verb == "assign" else None
        reason = self.reason[:MAX_TOLD]
        return Action(
            verb=self.verb, by=who.name[:128], at=now, reason=reason, until=end, owner=owner
        )


def verb_of(text: str) -> Verb:
    """One of the verbs.

    Raises:
        Denied: 400.
    """
    for verb in get_args(Verb):
        if verb == text:
            found: Verb = verb
            return found
    raise Denied(400, "nobody can do that to an incident")


def act(feed: Feed, who: Identity, ids: list[str], deed: Deed) -> tuple[list[Incident], list[str]]:
    """Does it to each that is theirs; gives what became of them, and what could not be done."""
    done, failed = [], []
    for id in ids[:MAX_BULK]:
        incident = feed.feeds.incident(id, who)  # never another tenant's
        if incident is None:
            failed.append(f"{id[:12]}: no such incident")
            continue
        if deed.verb == "expected" and not _all_theirs(feed, who, incident):
            failed.append(f"{id[:12]}: {SHARED}")
            continue
        try:
            done.append(feed.desk.act(incident.id, deed.action(who, feed.now())))
        except (NotPossible, BadSilence, UnknownIncident) as error:
            failed.append(f"{id[:12]}: {error}")
        except (sqlite3.Error, OSError) as error:
            failed.append(f"{id[:12]}: not stored ({type(error).__name__}); try again")
    return done, failed


def router(feed: Feed) -> APIRouter:
    """Its routes."""
    routes = APIRouter(include_in_schema=False)
    viewer = Depends(feed.guard.person("viewer"))
    analyst = Depends(feed.guard.person("analyst"))

    @routes.get("/act/{verb}")
    def ask(
        request: Request,
        verb: str,
        who: Annotated[Identity, analyst],
        ids: str = "",
        reason: str = "",
        lasts: str = "",
    ) -> HTMLResponse:
        """The form of an action, with what it would do."""
        asked = verb_of(verb)
        chosen = list(feed.feeds.some(ids.split(",")[:MAX_BULK], who).values())
        if not chosen:
            raise Denied(404, "there is no such incident, or it is not yours to see")
        deed = Deed(asked, reason, lasts)
        part = bool(request.headers.get("hx-request"))
        return feed.page(
            "act_part.html" if part else "act.html",
            request,
            who,
            verb=asked,
            word=WORDS[asked],
            incidents=feed.shown(chosen, who),
            spans=SPANS,
            verdicts=VERDICTS,
            deed=deed,
            lasts=lasts or _usual(feed, asked),
            told=_told(feed, who, chosen, deed),
        )

    @routes.post("/act/{verb}")
    def do(
        request: Request,
        verb: str,
        who: Annotated[Identity, analyst],
        ids: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
        lasts: Annotated[str, Form()] = "",
        owner: Annotated[str, Form()] = "",
        verdict: Annotated[str, Form()] = "",
    ) -> Response:
        """Does it."""
        if verdict in VERDICTS and verb == "resolve":
            reason = f"{verdict}: {reason}" if reason else verdict
        deed = Deed(verb_of(verb), reason, lasts, owner)
        done, failed = act(feed, who, [id for id in ids.split(",") if id], deed)
        for incident in done:
            feed.note(request, who.name, deed.verb, incident.id, reason)
        shown = feed.shown(done, who)
        word = WORDS[deed.verb]
        if request.headers.get("hx-request"):
            answer = feed.page(
                "acted.html", request, who, incidents=shown, failed=failed, word=word
            )
            answer.headers["hx-trigger"] = "acted"
            return answer
        if failed and not done:
            raise Denied(409, "; ".join(failed[:5]))
        return RedirectResponse(f"/incidents/{done[0].id}" if len(done) == 1 else "/", 303)

    @routes.get("/silences")
    def silences(request: Request, who: Annotated[Identity, viewer], all: str = "") -> HTMLResponse:
        """What is hidden, by whom, why and until when."""
        now = feed.now()
        found = [
            each
            for each in feed.desk.silences.list(now, all=bool(all))
            if _theirs(each.control, who)
        ]
        return feed.page("silences.html", request, who, silences=found[:500], all=bool(all))

    @routes.get("/silences/new")
    def draft(request: Request, who: Annotated[Identity, analyst]) -> HTMLResponse:
        """A form, and with enough in it what the silence would have hidden."""
        given = {name: value[:200] for name, value in request.query_params.items()}
        preview, problem = None, ""
        tried = {**given, "reason": given.get("reason") or "preview"}
        if given.get("detector") or given.get("id") or given.get("tenant"):
            try:
                preview = feed.desk.preview(feed.desk.drafted(**_silence(feed, who, tried)))
            except (BadSilence, Denied) as error:
                problem = str(error)
        return feed.page(
            "silence_new.html", request, who,
            given=given, preview=preview, problem=problem, spans=SPANS,
        )  # fmt: skip

    @routes.post("/silences")
    def silence(
        request: Request,
        who: Annotated[Identity, analyst],
        detector: Annotated[str, Form()] = "",
        lane: Annotated[str, Form()] = "",
        id: Annotated[str, Form()] = "",
        tenant: Annotated[str, Form()] = "",
        lasts: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
    ) -> Response:
        """Makes one."""
        given = {
            "detector": detector, "lane": lane, "id": id, "tenant": tenant, "lasts": lasts,
            "reason": reason,
        }  # fmt: skip
        try:
            made = feed.desk.silence(**_silence(feed, who, given))
        except BadSilence as error:
            raise Denied(400, str(error)) from None
        feed.note(request, who.name, "silence", made.control.id, reason)
        return RedirectResponse("/silences", 303)

    @routes.post("/silences/end")
    def end(
        request: Request, who: Annotated[Identity, analyst], id: Annotated[str, Form()] = ""
    ) -> Response:
        """Ends one."""
        known = feed.desk.silences.get(id[:64])
        if known is None or not _theirs(known.control, who):
            raise Denied(404, "there is no such silence")
        try:
            feed.desk.end(known.control.id, who.name)
        except BadSilence as error:
            raise Denied(400, str(error)) from None
        feed.note(request, who.name, "end silence", known.control.id)
        return RedirectResponse("/silences", 303)

    return routes


def _silence(feed: Feed, who: Identity, given: dict[str, str]) -> dict[str, Any]:
    """The arguments of the desk.

    Raises:
        Denied: it would reach beyond somebody's tenants, or is incomplete.
    """
    lane, id, tenant = given.get("lane", ""), given.get("id", "").strip(), given.get("tenant", "")
    if id and lane not in LANES:
        raise Denied(400, "choose what kind of entity it is")
    if who.tenants is not None and (not tenant or not who.sees(tenant)):
        raise Denied(403, "name one of your own tenants")
    try:
        end = until(given.get("lasts") or "24h", feed.now())
    except ValueError as error:
        raise Denied(400, str(error)) from None
    return {
        "owner": who.name,
        "reason": given.get("reason", "")[:MAX_TOLD],
        "until": end,
        "detector": given.get("detector", "").strip() or None,
        "entity": Entity(lane=next(each for each in LANES if each == lane), id=id) if id else None,
        "tenant": tenant.strip() or None,
    }


def _theirs(control: Any, who: Identity) -> bool:
    return who.tenants is None or (control.tenant is not None and who.sees(control.tenant))


def _all_theirs(feed: Feed, who: Identity, incident: Incident) -> bool:
    """Whether hiding findings of its entity hides nothing of other tenants."""
    if who.tenants is None:
        return True
    entity = incident.entity
    return all(who.sees(tenant) for tenant in feed.feeds.tenants_of(entity.lane, entity.id))


def _usual(feed: Feed, verb: Verb) -> str:
    policy = feed.desk.store.policy
    hours = {"ack": policy.ack, "snooze": policy.snooze, "expected": EXPECTED}.get(verb)
    if hours is None:
        return ""
    whole = int(hours.total_seconds() // 3600)
    return f"{whole // 24}d" if whole >= 48 and whole % 24 == 0 else f"{whole}h"


def _told(feed: Feed, who: Identity, chosen: list[Incident], deed: Deed) -> list[Any]:
    """What it would do, in sentences or previews."""
    if deed.verb == "expected":
        previews: list[tuple[str, Preview]] = []
        for incident in chosen[:5]:
            if not _all_theirs(feed, who, incident):
                return [("", SHARED)]
            try:
                action = deed.action(who, feed.now()).model_copy(
                    update={"reason": deed.reason or "preview"}
                )
                previews += [
                    (control.detector or "every detector", feed.desk.preview(control))
                    for control in feed.desk.expected(incident.id, action)
                ]
            except (BadSilence, UnknownIncident, Denied) as error:
                return [("", str(error))]
        return previews
    told = {
        "ack": "Others see that you look at it. Findings still come in; it wakes people when it"
        " gets worse, or when this runs out.",
        "snooze": "It is put off and stays quiet unless it gets worse. Findings still come in.",
        "resolve": "It is over. A new finding within"
        f" {feed.desk.store.policy.reopen.days} days reopens it.",
        "false_positive": "It was nothing. Later findings open another incident that names this"
        " one. To hide the like, choose Expected.",
        "reopen": "It is open again.",
        "note": "The note stands in the history; nobody is notified.",
        "assign": "The incident gets another owner. Its state stays.",
    }
    return [("", told[deed.verb])]
