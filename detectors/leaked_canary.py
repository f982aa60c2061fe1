"""Something planted to be stolen, seen where it should not be."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from schemas.decode import Record
from schemas.finding import About, Severity

PLANTED = "canary"  # the `resource.owner.source` of a record that was planted


class LeakedCanary(Detector):
    """Flags a planted fingerprint in a tool call or an answer that is not its owner's.

    What is planted is listed in `canaries` by its fingerprint: a record, an address, an account, a
    text nobody would write. A record is planted, too, when the event gives `canary` as the source
    of its owner. The owner's own agents may use it: `resource.owner.tenant_id` says who that is.

    Source: honeytokens; nobody has a reason to touch them, so one sighting is enough.
    Blind spot: a leak of everything but the planted record; fingerprints made with another pepper.

    >>> from schemas.testing import record
    >>> detector = LeakedCanary(frozenset({"hmac:0123456789abcdef"}))
    >>> sent = record(kind="agent.tool_call", session="s", tool="send_email",
    ...     tool_destination_ids=("hmac:0123456789abcdef",))
    >>> [verdict.evidence["seen_as"] for verdict in detector.inspect(sent, 0)]
    ['destination']
    """

    about = About(
        id="leaked-canary",
        title="Something planted was touched or sent",
        family="cross-tenant",
        severity=Severity.CRITICAL,
        techniques=(
            atlas("AML.T0057", "LLM Data Leakage"),
            attack("T1213", "Data from Information Repositories"),
            owasp("LLM02", "Sensitive Information Disclosure"),
        ),
        runbook=(
            "Stop the session: nobody has a reason to meet what was planted.",
            "See where it was planted; whoever reached it reached what lies beside it.",
            "Follow the session backwards to the call that fetched it, and plant a new one.",
        ),
        blind_spot="a leak of everything but the planted record; fingerprints of another pepper",
        needs=("resource.id", "tool.destination.ids", "tool.result.sampled_ids"),
    )
    takes = "carrying"
    lane = "session"
    told = "canaries"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        if not allowed:  # nothing is listed: only what the event itself calls planted is looked at
            self.takes = "planted_record"  # type: ignore[misc]

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id or event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        owner, marked = event.resource_owner_tenant_id, event.resource_owner_source == PLANTED
        for kind, ids in (
            ("record", (event.resource_id,)),
            ("result", event.tool_result_sampled_ids),
            ("destination", event.tool_destination_ids),
            ("arguments", (event.tool_args_hash,)),
            ("answer", (event.content_output_hash,)),
        ):
            at_home = kind == "record" and owner is not None and owner == event.tenant_id
            for id in ids:
                planted = id in self.allowed or (marked and kind == "record")
                if id is not None and planted and not at_home:
                    yield Verdict(
                        f"something planted to be stolen was seen {_PLACES[kind]}",
                        {"canary": id, "seen_as": kind, "tool": event.tool_name},
                        parts=(id,),
                    )


_PLACES = {
    "record": "as the record that a tool used",
    "result": "in the result of a tool",
    "destination": "as the place a tool sent to",
    "arguments": "as the arguments of a tool",
    "answer": "as the answer of a model",
}
