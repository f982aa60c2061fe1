"""What operators decided, applied to findings by event time, so that a replay decides the same."""

from typing import Any

from schemas.finding import Finding, Severity
from schemas.records import Control

MAX_CONTROLS = 10_000  # records in force; beyond it the oldest are dropped and counted


class Controls:
    """The control records seen so far, and the modes set in the settings.

    Args:
        modes: detector -> "active", "monitor" or "off".
    """

    def __init__(self, modes: dict[str, str]) -> None:
        self.modes = modes
        self.hidden = self.dropped = 0
        self._records: dict[str, Control] = {}

    def add(self, control: Control) -> None:
        """Notes a decision; a later record with the same id replaces it."""
        self._records[control.id] = control
        if len(self._records) > MAX_CONTROLS:
            self._records.pop(next(iter(self._records)))
            self.dropped += 1

    def apply(self, finding: Finding) -> Finding | None:
        """The finding as it should be told, or None if it is hidden."""
        mode = self.modes.get(finding.detector, "active")
        for control in self._records.values():
            if not _concerns(control, finding):
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

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {
            "records": [record.model_dump_json() for record in self._records.values()],
            "counts": [self.hidden, self.dropped],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        records = [Control.model_validate_json(record) for record in state["records"]]
        self._records = {record.id: record for record in records}
        self.hidden, self.dropped = state["counts"]


def _concerns(control: Control, finding: Finding) -> bool:
    return (
        control.effective <= finding.time
        and (control.until is None or finding.time < control.until)
        and control.detector in (None, finding.detector)
        and control.entity in (None, finding.entity)
        and control.tenant in (None, finding.tenant)
    )
