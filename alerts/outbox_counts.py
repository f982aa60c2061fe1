"""How many rows each destination has in each state, kept in the transactions that change them."""

from collections import Counter

from sqlalchemy import Connection, select, update

from alerts.store_engine import insert_new
from alerts.tables import COUNTS


class Counts:
    """Changes to be written at the end of a transaction."""

    def __init__(self) -> None:
        self._changes: Counter[tuple[str, str]] = Counter()

    def add(self, destination: str, state: str, rows: int) -> None:
        """So many more, or fewer."""
        self._changes[destination, state] += rows

    def write(self, connection: Connection) -> None:
        """Adds the changes, always in the same order: two transactions never wait in a circle."""
        for (destination, state), rows in sorted(self._changes.items()):
            if not rows:
                continue
            mine = (COUNTS.c.destination == destination) & (COUNTS.c.state == state)
            change = update(COUNTS).where(mine).values(rows=COUNTS.c.rows + rows)
            if not connection.execute(change).rowcount:
                new = {"destination": destination, "state": state, "rows": 0}
                insert_new(connection, COUNTS, [new])
                connection.execute(change)
        self._changes.clear()


def read_counts(connection: Connection) -> dict[str, dict[str, int]]:
    """Destination -> state -> rows."""
    result: dict[str, dict[str, int]] = {}
    query = select(COUNTS.c.destination, COUNTS.c.state, COUNTS.c.rows)
    for destination, state, rows in connection.execute(query.order_by(COUNTS.c.destination)):
        states = result.setdefault(
            destination, {"waiting": 0, "held": 0, "delivered": 0, "dead": 0}
        )
        states[state] = rows
    return result
