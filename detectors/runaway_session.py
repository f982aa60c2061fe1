"""An agent that never stops: its context only grows, and so does each bill."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from itertools import pairwise
from math import comb, factorial
from operator import itemgetter
from typing import Any

from detectors.base import Detector, Verdict, atlas, owasp
from detectors.memory import Memory
from detectors.settled import HOUR_MS, settled_hour
from schemas.decode import Record
from schemas.finding import About, Severity

LARGE_TOKENS = 4096  # input from which a call counts; see `large_call` in streams.masks
MAX_STEP_TOKENS = 4000  # one step of an agent adds an answer and a tool's result
MAX_GAP_MS = 60_000  # between two steps
IDLE_MS = 10 * MAX_GAP_MS  # after which nothing is added to a run any more, however late
STEPS = 16  # growing steps in a row that need no habit to be odd
EVEN_STEPS = 9  # of them when each adds about as much as the others: it gets the same again
EVEN = 1.5  # the largest of these steps over the smallest
CHANCE = 1e-5  # of so long a run among calls that have nothing to do with each other
ABOVE_USUAL = 1.5  # times the longest run this key has had in two different hours
NOTABLE_STEPS = 7  # shorter runs say nothing about a key's habit
NOTABLE_CHANCE = 1e-3  # nor do those that come up by themselves
RECENT = 64  # large calls of one run that are remembered
MAX_HOURS = 48
HORIZON_MS = 7 * 24 * HOUR_MS
MAX_RUNS = 50_000  # keys, and conversations, remembered per generation

Step = list[Any]  # time in ms, input tokens, event id, length of the run, nano-dollars


class RunawaySession(Detector):
    """Flags a key whose inputs keep growing step by step, far longer than they usually do.

    A run is the longest series of large calls in which each is a little larger than the one before
    and follows within a minute; other calls may lie between. Busy keys with large prompts make such
    runs by chance, so the more large calls lie between the longer a run has to be. Honest agents
    make short ones, and what each step adds varies; an agent that is stuck gets the same again and
    again, so nine steps that add about as much are enough, else sixteen. The limit is the key's
    own: one and a half times what it has reached in two different hours of the last week. One hour
    that was judged an attack therefore teaches nothing.

    Source: 52 of 52 runaway agents found on four streams of real traffic, half of them within 135
    seconds, and nothing else on these and four streams without attacks (docs/detection.md); agents
    stuck for 11 days cost 47 000 dollars (2025-11).
    Blind spot: an agent that pauses for more than a minute between steps, or stays below 4096
    input tokens.

    >>> from schemas.testing import record
    >>> detector, told = RunawaySession(), []
    >>> for step in range(20):
    ...     call = record(id=f"e{step}", key="hmac:1", input_tokens=9000 + 900 * step)
    ...     told += [(step, len(v.others)) for v in detector.inspect(call, 12_000 * step)]
    >>> told[0]
    (15, 15)
    """

    about = About(
        id="runaway-session",
        title="An agent runs on and on, and its context only grows",
        family="retry-storm",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0034.002", "Cost Harvesting: Agentic Resource Consumption"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Stop the agent; each further step costs more than the one before.",
            "Read its last steps: what does it wait for, and why does it not see that it failed?",
            "Give the agent a limit of steps and of dollars, and shorten what it carries along.",
        ),
        blind_spot="an agent that pauses for more than a minute, or stays below 4096 input tokens",
        needs=("api_key.id", "gen_ai.usage.input_tokens"),
    )
    takes = "large_call"
    lane = "credential"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(HORIZON_MS, MAX_RUNS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, tokens = self.entity(event), event.input_tokens
        if key is None or tokens is None or tokens < LARGE_TOKENS:
            return ()
        name = f"run\0{key}\0{event.conversation_id or event.session_id or ''}"
        steps = self._memory.get(name) or []
        if steps and steps[-1][0] < time_ms - IDLE_MS:
            steps = []
        step = [time_ms, tokens, event.event_id, 1, round(1e9 * (event.cost_usd or 0.0))]
        insort(steps, step, lo=len(steps) if steps and steps[-1] < step else 0)
        changed = _count(steps, time_ms)
        self._memory.put(name, steps[-RECENT:])
        longest = max(changed, key=lambda step: (step[3], -step[0]))
        if longest[3] < NOTABLE_STEPS:
            return ()
        run = _run(steps, longest)
        among = sum(run[0][0] <= step[0] <= longest[0] for step in steps)
        chance = _chance(len(run), among)
        if chance > NOTABLE_CHANCE:
            return ()
        usual = self._usual(key, longest[0])
        for step in changed:
            if step[3] >= NOTABLE_STEPS:
                self._learn(key, step[0] // HOUR_MS, step[3])
        enough = EVEN_STEPS if _even(run[-EVEN_STEPS:]) else STEPS
        if chance > CHANCE or longest[3] < max(enough, ABOVE_USUAL * usual):
            return ()
        return (self._verdict(run, longest, usual),)

    def _usual(self, key: str, time_ms: int) -> int:
        """The longest run that came up in two different hours before this one."""
        until = settled_hour(time_ms)
        hours = self._memory.get("usual\0" + key) or []
        past = sorted(steps for hour, steps in hours if hour < until)
        return past[-2] if len(past) > 1 else 0

    def _learn(self, key: str, hour: int, steps: int) -> None:
        known = dict(self._memory.get("usual\0" + key) or ())
        known[hour] = max(steps, known.get(hour, 0))
        week = max(known) - HORIZON_MS // HOUR_MS
        newest = sorted(one for one in known.items() if one[0] > week)[-MAX_HOURS:]
        self._memory.put("usual\0" + key, [list(one) for one in newest])

    @staticmethod
    def _verdict(run: list[Step], last: Step, usual: int) -> Verdict:
        return Verdict(
            f"{last[3]} calls in a row, each with more input than the one before, up to"
            f" {last[1]:,} tokens",
            {"steps": last[3], "usual_steps": usual, "from": run[0][1], "to": last[1]},
            decisive=(last[2], last[0]),
            others=tuple((step[2], step[0]) for step in reversed(run[:-1])),
            cost_nanousd=sum(step[4] for step in run),
        )


def _count(steps: list[Step], time_ms: int) -> list[Step]:
    """Counts how long a run ends at each step from `time_ms` on; returns those steps."""
    first = bisect_left(steps, time_ms, key=itemgetter(0))
    for at in range(first, len(steps)):
        step, longest = steps[at], 0
        for one in reversed(steps[:at]):
            if step[0] - one[0] > MAX_GAP_MS:
                break
            if one[3] > longest and _follows(one, step):
                longest = one[3]
        step[3] = 1 + longest
    return steps[first:]


def _follows(one: Step, step: Step) -> bool:
    """Whether `step` may be the step after `one`."""
    soon = 0 < step[0] - one[0] <= MAX_GAP_MS
    return bool(soon and 0 < step[1] - one[1] <= MAX_STEP_TOKENS)


def _run(steps: list[Step], last: Step) -> list[Step]:
    """The steps of one longest run that ends with `last`, as far as they are remembered."""
    run = [last]
    for step in reversed(steps):
        if step[3] == run[-1][3] - 1 and _follows(step, run[-1]):
            run.append(step)
    return run[::-1]


def _chance(steps: int, among: int) -> float:
    """At most the chance that so many of these calls grow in a row though they are unrelated.

    Of `among` values in any order C(among, steps) / steps! growing series of this length are
    expected (Hammersley 1972); ours must follow closely too, so it is less.
    """
    return comb(among, steps) / factorial(steps)


def _even(run: list[Step]) -> bool:
    """Whether each step adds about as much as the others."""
    added = [late[1] - early[1] for early, late in pairwise(run)]
    return bool(max(added) <= EVEN * min(added))
