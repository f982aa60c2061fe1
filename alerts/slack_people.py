"""Who may press: people and user groups by their ids."""

import logging
import time
from collections.abc import Callable, Sequence

from alerts.base import Rejected, RetryLater
from alerts.slack_calls import Calls, Gone
from alerts.slack_press import Press

ASKED_S = 60.0  # a group's members are asked for at most so often
EVERYBODY = "*"

log = logging.getLogger("tripmeter.alerts")


class People:
    """The people of one channel who may decide.

    Args:
        allowed: ids of people (U..., W...) and of user groups (S...); "*" is everybody of our own
            workspace who is in the channel.
    """

    def __init__(
        self, calls: Calls, allowed: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls = calls
        self._allowed = frozenset(allowed)
        self._clock = clock
        self._groups: dict[str, tuple[float, frozenset[str]]] = {}  # as many as are configured

    def may(self, press: Press) -> bool:
        """Whether this person may; nobody may whose group cannot be looked up."""
        if press.user in self._allowed:
            return True
        if EVERYBODY in self._allowed and not press.foreign:
            return True
        groups = sorted(name for name in self._allowed if name.startswith("S"))
        return any(press.user in self._members(group) for group in groups)

    def _members(self, group: str) -> frozenset[str]:
        asked, members = self._groups.get(group, (float("-inf"), frozenset()))
        if self._clock() - asked < ASKED_S:
            return members
        try:
            answer = self._calls.ask("usergroups_users_list", usergroup=group)
        except (RetryLater, Rejected, Gone) as error:
            log.warning("Slack: who is in %s cannot be looked up: %s", group, error)
            return frozenset()
        users = answer.get("users")
        members = frozenset(map(str, users)) if isinstance(users, list) else frozenset()
        self._groups[group] = (self._clock(), members)
        return members
