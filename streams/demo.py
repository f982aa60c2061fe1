"""What the demo measures: which staged attacks were found, how soon, at what cost, and what else.

Pure apart from the clock of the progress: a world goes in, a `Result` comes out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from schemas.finding import Finding
from schemas.samples import Line, Staged, World

if TYPE_CHECKING:
    from streams.output import Output
    from streams.pipeline import Pipeline

BLOCK_LINES = 1000
GRACE = timedelta(hours=1)  # a finding this long after the last event still belongs to it

Progress = Callable[[int, int, int], None]  # day, days, events so far
Keep = Callable[["Output", float], None]  # what a block brought, and its end in epoch seconds


@dataclass(frozen=True, slots=True)
class Caught:
    """One attack and what was found about it, the first finding first.

    Attributes:
        events: events of the attack up to the decision.
        spent_usd: dollars those events cost.
        total_usd: dollars the whole attack would cost, undisturbed.
    """

    staged: Staged
    findings: tuple[Finding, ...]
    after: timedelta | None
    events: int
    spent_usd: float
    total_usd: float

    @property
    def by(self) -> Finding | None:
        """The first finding; None when the attack was missed."""
        return self.findings[0] if self.findings else None

    @property
    def detectors(self) -> tuple[str, ...]:
        """Every detector that found it, in the order of time."""
        return tuple(dict.fromkeys(finding.detector for finding in self.findings))

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "kind": self.staged.kind,
            "family": self.staged.family,
            "entity": self.staged.entities[0].model_dump(),
            "start": self.staged.start.isoformat(),
            "events_total": len(self.staged.lines),
            "found": self.by is not None,
            "finding": self.by.id if self.by else None,
            "detectors": list(self.detectors),
            "seconds": self.after.total_seconds() if self.after is not None else None,
            "events": self.events if self.by else None,
            "cost_usd": round(self.spent_usd, 2) if self.by else None,
            "cost_usd_total": round(self.total_usd, 2),
        }


@dataclass(frozen=True, slots=True)
class Result:
    """Everything the demo tells.

    Attributes:
        caught: every attack, in the order of time, found or missed.
        disturbed: each look-alike with the findings that were raised about it (none: quiet).
        false: findings about neither an attack nor a look-alike.
        health: findings of the pipeline about itself.
    """

    seed: int
    events: int
    days: int
    clients: int
    tenants: int
    findings: list[Finding]
    caught: list[Caught] = field(default_factory=list)
    disturbed: list[tuple[Staged, list[Finding]]] = field(default_factory=list)
    false: list[Finding] = field(default_factory=list)
    health: list[Finding] = field(default_factory=list)

    @property
    def falsely_raised(self) -> int:
        """Findings about look-alikes and about nothing at all, together."""
        return len(self.false) + sum(len(raised) for _, raised in self.disturbed)

    @property
    def false_per_key_month(self) -> float:
        """The same for each key and month watched: what an alert budget is about."""
        return self.falsely_raised / (self.clients * self.days / 30)

    def as_json(self) -> dict[str, Any]:
        """The summary line of `--json`."""
        return {
            "record": "summary",
            "seed": self.seed,
            "events": self.events,
            "days": self.days,
            "findings": len(self.findings),
            "attacks": [caught.as_json() for caught in self.caught],
            "lookalikes": [
                {
                    "kind": staged.kind,
                    "entity": staged.entities[0].model_dump(),
                    "quiet": not raised,
                    "raised": [finding.id for finding in raised],
                }
                for staged, raised in self.disturbed
            ],
            "false": [finding.id for finding in self.false],
            "false_per_key_month": round(self.false_per_key_month, 3),
            "health": [finding.id for finding in self.health],
        }


def watch(
    world: World, pipeline: "Pipeline", progress: Progress, keep: Keep = lambda *_: None
) -> Result:
    """Feeds the world to the pipeline, a block at a time, and judges what it says."""
    findings: list[Finding] = []
    end_s = 0.0
    if world.controls:
        decided = b"\n".join(c.model_dump_json().encode() for c in world.controls)
        findings += pipeline.process(decided + b"\n").findings
    events = 0
    for day, lines in enumerate(world.lines()):
        for start in range(0, len(lines), BLOCK_LINES):
            block = b"\n".join(line.data for line in lines[start : start + BLOCK_LINES]) + b"\n"
            output = pipeline.process(block)
            findings += output.findings
            end_s = lines[min(start + BLOCK_LINES, len(lines)) - 1].ms / 1000
            keep(output, end_s)
        events += len(lines)
        progress(day + 1, world.days, events)
    output = pipeline.close()
    keep(output, end_s)
    return judge(world, findings + output.findings, events)


def judge(world: World, findings: Iterable[Finding], events: int) -> Result:
    """Who is right: each finding's first revision belongs to one staged thing, or is false."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.id, finding)
    raised: dict[int, list[Finding]] = {number: [] for number in range(len(world.staged))}
    result = Result(
        seed=world.seed,
        events=events,
        days=world.days,
        clients=len(world.clients),
        tenants=len({client.tenant for client in world.clients}),
        findings=list(first.values()),
    )
    owner = {line.id: n for n, staged in enumerate(world.staged) for line in staged.lines}
    for finding in first.values():
        number = _cause(finding, world.staged, owner)
        if finding.family == "health":
            result.health.append(finding)
        elif number is None:
            result.false.append(finding)
        else:
            raised[number].append(finding)
    order = sorted(range(len(world.staged)), key=lambda number: world.staged[number].start_ms)
    for number in order:
        staged = world.staged[number]
        if staged.attack:
            result.caught.append(_caught(staged, raised[number]))
        else:
            result.disturbed.append((staged, raised[number]))
    return result


def _cause(finding: Finding, staged: list[Staged], owner: dict[str, int]) -> int | None:
    """The staged thing whose events are in the finding, or whose entity and time it names."""
    for event in finding.event_ids:
        if event in owner:
            return owner[event]
    named = [
        number
        for number, thing in enumerate(staged)
        if finding.entity in thing.entities and _within(finding.time, thing)
    ]
    # A key may be attacked and have a habit that resembles an attack: the narrower explains more.
    return min(named, key=lambda n: staged[n].end_ms - staged[n].start_ms, default=None)


def _within(time: datetime, staged: Staged) -> bool:
    return staged.start <= time <= staged.end + GRACE


def _caught(staged: Staged, raised: list[Finding]) -> Caught:
    total = sum(line.cost_usd for line in staged.lines)
    if not raised:
        return Caught(staged, (), None, 0, total, total)
    found = sorted(raised, key=lambda finding: (finding.time, finding.id))
    by = found[0]
    until = [line for line in staged.lines if _seen(line, by.time)]
    return Caught(
        staged=staged,
        findings=tuple(found),
        after=by.time - staged.start,
        events=len(until),
        spent_usd=sum(line.cost_usd for line in until),
        total_usd=total,
    )


def _seen(line: Line, time: datetime) -> bool:
    return line.ms <= time.timestamp() * 1000
