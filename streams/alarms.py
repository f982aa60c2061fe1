"""What was told already: more of the same joins it, what is ten times worse breaks through.

Also decides what may be learned. What a detector called an attack is not learned, until it has
held for `ACCEPT_MS`: then it is the key's new level.
"""

from typing import Any

DAY_MS = 86_400_000
QUIET_MS = DAY_MS  # after the last window that was over, the same detector is quiet this long
LEAST_QUIET = 3  # windows; what was told is known two windows later
ACCEPT_MS = DAY_MS  # a level that held this long is learned
ESCALATE = 10  # times the total that was told before
MAX_ALARMS = 100_000
VERSIONS = 3  # of the level, because windows two back are judged by older ones


class Alarms:
    """The alarms of one spec's windows: (key, detector) -> when it began, and the levels told.

    Args:
        width_ms: of a window.
    """

    def __init__(self, width_ms: int) -> None:
        self.quiet = max(QUIET_MS // width_ms, LEAST_QUIET)
        self.accept = ACCEPT_MS // width_ms
        self.keys: set[int] = set()
        self.forgotten = 0
        self._alarms: dict[str, dict[str, Any]] = {}

    def level(self, key: int, detector: str, window: int) -> dict[str, int] | None:
        """The totals told before that a window opening now must pass tenfold, or None."""
        alarm = self._alarms.get(f"{key}/{detector}")
        if alarm is None:
            return None
        for told, totals in reversed(alarm["told"]):
            if told <= window - 2:
                return totals if window - told <= self.quiet else None
        return None

    def accepted(self, key: int, detector: str, window: int) -> bool:
        """Whether the alarm has held so long that it is what this key does now."""
        alarm = self._alarms.get(f"{key}/{detector}")
        return alarm is not None and window - alarm["start"] > self.accept

    def note(self, key: int, detector: str, window: int, totals: dict[str, int]) -> None:
        """A closed window was over the limit of its habit."""
        name = f"{key}/{detector}"
        alarm = self._alarms.pop(name, None)
        if alarm is None or window - alarm["last"] > self.quiet:
            alarm = {"start": window, "last": window, "told": []}
        before = alarm["told"][-1][1] if alarm["told"] else {}
        level = {f: max(total, before.get(f, 0)) for f, total in totals.items()}
        alarm["told"] = [*alarm["told"][1 - VERSIONS :], [window, level]]
        alarm["last"] = max(window, alarm["last"])
        if len(self._alarms) >= MAX_ALARMS:
            self._alarms.pop(next(iter(self._alarms)))
            self.forgotten += 1
        self._alarms[name] = alarm
        self.keys.add(key)

    def forget(self, keys: set[int]) -> None:
        """Drops the alarms of evicted keys."""
        if keys & self.keys:
            self.keys -= keys
            self._alarms = {
                name: alarm
                for name, alarm in self._alarms.items()
                if int(name.partition("/")[0]) not in keys
            }

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {"alarms": self._alarms, "forgotten": self.forgotten}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._alarms, self.forgotten = dict(state["alarms"]), state["forgotten"]
        self.keys = {int(name.partition("/")[0]) for name in self._alarms}
