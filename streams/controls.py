"""What operators decided, applied to findings by event time, so that a replay decides the same.

Settings hold from the start. A record concerns what is decided after it in the stream, however the
stream is cut into blocks.
"""

from typing import Any

from schemas.decode import EPOCH, MILLISECOND
from schemas.finding import Finding, Severity
from schemas.records import Control, Excepted
from streams.output import CoreSettings, Mode

MAX_CONTROLS = 10_000  # records in force; beyond it those that end first are dropped and counted
NEVER = 2**62


class Controls:
    """The control records seen so far, and the modes set in the settings.

    Args:
        settings: whose modes, of all and of single tenants, and exceptions hold from the start.
    """

    def __init__(self, settings: CoreSettings) -> None:
        self._settings = settings
        self.hidden = self.dropped = 0
        self._records: dict[str, tuple[int, Control]] = {}
        self._waiting: list[tuple[int, Control]] = []  # of this block, not yet reached
        self._next = NEVER  # when the first of the records ends

    def add(self, control: Control, position: int) -> None:
        """Notes a decision, and where it stands in the stream."""
        self._waiting.append((position, control))

    def reach(self, position: int) -> None:
        """Puts decisions before a position in force; a later one with the same id replaces it."""
        while self._waiting and self._waiting[0][0] < position:
            at, control = self._waiting.pop(0)
            self._records[control.id] = (at, control)
            self._next = min(self._next, _end_ms(control))
            if len(self._records) > MAX_CONTROLS:
                first = min(self._records.values(), key=lambda one: (_end_ms(one[1]), one[0]))
                del self._records[first[1].id]
                self.dropped += 1

    def forget(self, clock_ms: int) -> None:
        """Drops the records that ended: nothing that is found from here on is older."""
        if clock_ms < self._next:
            return
        self._records = {
            id: (at, control)
            for id, (at, control) in self._records.items()
            if _end_ms(control) > clock_ms
        }
        self._next = min((_end_ms(one) for _, one in self._records.values()), default=NEVER)

    def apply(self, finding: Finding) -> Finding | None:
        """The finding as it should be told, or None if it is hidden."""
        self.reach(finding.provenance.position)
        mode = self._mode(finding)
        if any(_excepted(one, finding) for one in self._settings.exceptions):
            self.hidden += 1
            return None
        for at, control in self._records.values():
            if at >= finding.provenance.position or not _concerns(control, finding):
                continue
            if control.action == "mode":
                mode = control.mode or mode
            else:
                self.hidden += 1
                return None
        if mode == "off":
            self.hidden += 1
            return None
        if mode == "monitor":
            return finding.model_copy(update={"mode": "monitor", "severity": Severity.INFO})
        return finding

    def _mode(self, finding: Finding) -> Mode:
        """What the settings say of a detector, to this tenant if they name it."""
        own = self._settings.tenants.get(finding.tenant or "", {})
        general = self._settings.modes.get(finding.detector, "active")
        return own.get(finding.detector, general)

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {
            "records": [[at, record.model_dump_json()] for at, record in self._records.values()],
            "counts": [self.hidden, self.dropped],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        records = [(at, Control.model_validate_json(record)) for at, record in state["records"]]
        self._records = {record.id: (at, record) for at, record in records}
        self._next = min((_end_ms(record) for _, record in records), default=NEVER)
        self.hidden, self.dropped = state["counts"]


def _end_ms(control: Control) -> int:
    """When a record ends; rounded up, so that nothing it concerns comes after."""
    return NEVER if control.until is None else -((EPOCH - control.until) // MILLISECOND)


def _excepted(one: Excepted, finding: Finding) -> bool:
    return (
        finding.time < one.until
        and one.detector in (None, finding.detector)
        and one.entity in (None, finding.entity.id)
        and one.tenant in (None, finding.tenant)
    )


def _concerns(control: Control, finding: Finding) -> bool:
    return (
        control.effective <= finding.time
        and (control.until is None or finding.time < control.until)
        and control.detector in (None, finding.detector)
        and control.entity in (None, finding.entity)
        and control.tenant in (None, finding.tenant)
    )
