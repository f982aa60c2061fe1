"""An agent that never stops: its context only grows, and so does each bill."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from itertools import pairwise
from math import comb, factorial, log
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
STEPS = 16  # growing steps in a row that need no habit to be odd, whatever they add
CHANCE = 1e-5  # of so long a run among unrelated calls, and of steps so even among unequal ones
SPREAD = 10.0  # the largest step over the smallest, of an agent that does this and that
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
    again, so the more alike its steps are the fewer are enough: seven that add the same within a
    sixth, nine within four tenths, else sixteen. The limit is the key's own: one and a half times
    what it has reached in two different hours of the last week. One hour that was judged an attack
    therefore teaches nothing.

    Source: 52 of 52 runaway agents found on four streams of real traffic, half of them within 110
    seconds, and nothing else on these and three streams without attacks (docs/detection.md); agents
    stuck for 11 days cost 47 000 dollars (2025-11).
    Blind spot: an agent that pauses for more than a minute between steps, or stays below 4096
    input tokens.

    >>> from schemas.testing import record
    >>> detector, told = RunawaySession(), []
    >>> for step in range(20):
    ...     call = record(id=f"e{step}", key="hmac:1", input_tokens=9000 + 900 * step)
    ...     told += [(step, len(v.others)) for v in detector.inspect(call, 12_000 * step)]
    >>> told[0]
    (6, 6)
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
        new: Step = [time_ms, tokens, event.event_id, 1, round(1e9 * (event.cost_usd or 0.0))]
        insort(steps, new, lo=len(steps) if steps and steps[-1] < new else 0)
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
        if longest[3] < ABOVE_USUAL * usual:
            return ()
        if not _stuck(run) and (longest[3] < STEPS or chance > CHANCE):
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


def _stuck(run: list[Step]) -> bool:
    """Whether the last steps add so nearly the same that it is always the same.

    Of `count` steps whose logarithms are spread evenly over those of a tenfold range, the largest
    and the smallest are within a share q of it with q^(count-1) (count - (count-1) q).
    """
    added = [late[1] - early[1] for early, late in pairwise(run)]
    most = least = added[-1]
    for count, one in enumerate(reversed(added), 1):
        most, least = max(most, one), min(least, one)
        q = min(1.0, log(most / least) / log(SPREAD))
        if count + 1 >= NOTABLE_STEPS and q ** (count - 1) * (count - (count - 1) * q) <= CHANCE:
            return True
    return False
