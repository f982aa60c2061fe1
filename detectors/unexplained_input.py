"""A prompt that suddenly costs more input than it has."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from detectors.settled import HOUR_MS, SETTLED_MS
from schemas.decode import Record
from schemas.finding import About, Severity

SLOT_MS = 300_000  # of each, the smallest size is remembered
SLOTS = 3  # in which a prompt was seen before its size is known
MAX_SLOTS = 8
STEADY = 1.05  # times the smallest may be the largest of these, or the size is not fixed
MORE = 1.2  # times the known size
LEAST_TOKENS = 500  # and by so many more
HORIZON_MS = 24 * HOUR_MS
MAX_PROMPTS = 100_000  # remembered per generation


class UnexplainedInput(Detector):
    """Flags a prompt that is billed for more input than the same prompt was before.

    One prompt, on one model, has one size. When the provider counts a fifth and 500 tokens more,
    somebody on the way added something: a gateway's new system prompt, or another tenant's
    conversation. Only short answers are looked at, because those belong to the questions that are
    asked again and again to see whether all is well; what happens to them happens to the others.

    Source: users of the Kilo gateway found foreign prompts in their requests for two weeks in 2026
    (#14080); the provider's count of input was the first thing to look wrong.
    Blind spot: prompts that never come again; answers of more than 16 tokens.

    >>> from schemas.testing import record
    >>> detector, told = UnexplainedInput(), []
    >>> asked = dict(key="hmac:1", model="m", prompt="hmac:p", output_tokens=2)
    >>> for minute, tokens in ((0, 60), (10, 60), (20, 60), (40, 900)):
    ...     now = record(id=f"e{minute}", input_tokens=tokens, **asked)
    ...     told += [v.evidence["usual"] for v in detector.inspect(now, 60_000 * minute)]
    >>> told
    [60]
    """

    about = About(
        id="unexplained-input",
        title="A known prompt is billed for more input than it has",
        family="cross-tenant",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0051", "LLM Prompt Injection"),
            attack("T1565.002", "Data Manipulation: Transmitted Data Manipulation"),
            owasp("LLM02", "Sensitive Information Disclosure"),
        ),
        runbook=(
            "Did somebody change a system prompt or a guardrail of the gateway? Then expect it.",
            "If not, capture one such request before the provider, and read what was added.",
            "If it is another's text, stop the gateway: yours may be in theirs.",
        ),
        blind_spot="prompts that never come again; answers of more than 16 tokens",
        needs=("api_key.id", "content.input.hash", "gen_ai.usage.input_tokens"),
    )
    takes = "fixed_question"
    lane = "credential"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(HORIZON_MS, MAX_PROMPTS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, prompt, tokens = event.api_key_id, event.content_input_hash, event.input_tokens
        if key is None or prompt is None or tokens is None:
            return
        name = f"{key}\0{event.request_model}\0{event.response_model}\0{prompt}"
        slots = dict(self._memory.get(name) or ())
        slot = time_ms // SLOT_MS
        known = [size for at, size in slots.items() if (at + 1) * SLOT_MS <= time_ms - SETTLED_MS]
        slots[slot] = min(tokens, slots.get(slot, tokens))
        self._memory.put(name, [list(one) for one in sorted(slots.items())[-MAX_SLOTS:]])
        if len(known) < SLOTS or max(known) > STEADY * min(known):
            return
        if tokens > MORE * max(known) and tokens > max(known) + LEAST_TOKENS:
            yield Verdict(
                f"a prompt of {max(known):,} input tokens was billed for {tokens:,}",
                {"usual": max(known), "seen": tokens, "model": event.request_model},
                parts=(prompt,),
            )
