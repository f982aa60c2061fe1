"""Full text over incidents: SQLite's FTS5 or PostgreSQL's inverted index, in step with each write.

An incident's words are kept beside it, written in the transaction that writes the incident. They
are cut here, the same way for both databases: what stands between spaces as a whole (an address, a
key's id), its parts, and what begins with one. What somebody asks for is the beginning of a word.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)

from alerts.evidence import events
from alerts.incident import Incident
from alerts.tables import INCIDENTS, WORDS
from schemas.finding import Finding

MAX_WORDS = 300  # of a story, and as many of what its events name
MAX_WORD = 100  # characters
MAX_ASKED = 10  # words of one search
LEAST = 2  # characters of a word
INDEXED = 5  # characters of a beginning for which SQLite keeps a list
CHUNK = 500
FILL = 2000  # incidents of an older store whose words are made at once
SEEN = (
    "client_address", "conversation_id", "request_model", "resource_id", "tool_name", "user_agent",
)  # fmt: skip

W, N = WORDS.c, INCIDENTS.c
_WHOLE = re.compile(r"(?:[\w.:@/+-]|[^\x00-\x7f])+", re.ASCII)
_PART = re.compile(r"(?:[a-z0-9]|[^\x00-\x7f])+")
_EDGES = ".:@/+-_"
_VECTOR = "array_to_tsvector(string_to_array(btrim(words || ' ' || seen), ' '))"
_ROWS_SQLITE = "SELECT rowid FROM incident_search WHERE incident_search MATCH {}"
_ROWS_POSTGRESQL = (
    "SELECT number FROM incident_words WHERE " + _VECTOR + " @@ CAST({} AS tsquery)"  # noqa: S608
)
_GIN = f"CREATE INDEX IF NOT EXISTS incident_search ON incident_words USING gin ({_VECTOR})"
_GONE = "INSERT INTO incident_search (incident_search, rowid, words, seen)" \
    " VALUES ('delete', old.number, old.words, old.seen);"  # fmt: skip
_COME = "INSERT INTO incident_search (rowid, words, seen)" \
    " VALUES (new.number, new.words, new.seen);"  # fmt: skip
_FTS5 = (
    "CREATE VIRTUAL TABLE incident_search USING fts5(words, seen, content='incident_words',"
    " content_rowid='number', detail=none, prefix='2 3 4 5',"
    " tokenize=\"ascii tokenchars '_.:@/+-'\")",
    "INSERT INTO incident_search (incident_search) VALUES ('rebuild')",
    f"CREATE TRIGGER incident_words_come AFTER INSERT ON incident_words BEGIN {_COME} END",
    f"CREATE TRIGGER incident_words_gone AFTER DELETE ON incident_words BEGIN {_GONE} END",
    "CREATE TRIGGER incident_words_change AFTER UPDATE ON incident_words"
    f" BEGIN {_GONE} {_COME} END",
)

log = logging.getLogger("tripmeter.alerts")


def wholes(text: str) -> list[str]:
    """What stands between spaces, without the punctuation around it.

    >>> wholes("Is 198.51.100.7 theirs?")
    ['is', '198.51.100.7', 'theirs']
    """
    found = (whole.strip(_EDGES)[:MAX_WORD] for whole in _WHOLE.findall(text.casefold()))
    return [whole for whole in found if len(whole) >= LEAST]


@lru_cache(maxsize=4096)  # titles, tenants and models come again and again
def words(text: str) -> tuple[str, ...]:
    """What can be looked for in a text.

    >>> words("Key hmac:F889, claude-opus-4-1.")
    ('key', 'hmac:f889', 'hmac', 'f889', 'claude-opus-4-1', 'claude', 'opus-4-1', 'opus', '4-1')
    """
    found: dict[str, None] = {}
    for whole in wholes(text):
        for part in _PART.finditer(whole):
            found |= dict.fromkeys((whole[part.start() :], part[0]))
    return tuple(word for word in found if len(word) >= LEAST)


def note(connection: Connection, changed: Mapping[str, tuple[Incident, Finding | None]]) -> None:
    """Keeps the words of incidents just written, and of the finding that came, if one did."""
    ids = list(changed)
    known: dict[str, tuple[str, str]] = {}
    for at in range(0, len(ids), CHUNK):
        query = select(W.incident, W.words, W.seen).where(W.incident.in_(ids[at : at + CHUNK]))
        known |= {row[0]: (row[1], row[2]) for row in connection.execute(query)}
    new, other = [], []
    for id, (incident, finding) in changed.items():
        before = known.get(id, ("", ""))
        after = _story(incident), _seen(finding, before[1]) if finding else before[1]
        if id not in known:
            new.append({"incident": id, "words": after[0], "seen": after[1]})
        elif after != before:
            other.append({"of": id, "words": after[0], "seen": after[1]})
    if new:
        connection.execute(insert(WORDS), new)
    if other:
        names: dict[str, Any] = {name: bindparam(name) for name in ("words", "seen")}
        mine = W.incident == bindparam("of")
        connection.execute(update(WORDS).where(mine).values(names), other)


def forget(connection: Connection, incidents: Sequence[str]) -> None:
    """Drops the words of incidents that go."""
    connection.execute(delete(WORDS).where(W.incident.in_(incidents)))


def saying(asked: str, limit: int, *, sqlite: bool, whole: bool = False) -> Select[Any] | None:
    """Ids of the newest incidents that have each word asked for, or one that begins with it.

    A long word that stands somewhere just so is looked for just so: of all that begin with it a
    list would have to be made first.

    Args:
        whole: never what only begins with it.
    Returns:
        None when nothing in it can be looked for.
    """
    wanted = wholes(asked)[:MAX_ASKED]
    if not wanted:
        return None
    quote, begins, both = ('"', "*", "' '") if sqlite else ("'", ":*", "' & '")
    rows = _ROWS_SQLITE if sqlite else _ROWS_POSTGRESQL
    values: dict[str, Any] = {"most": limit}
    terms = []
    for place, word in enumerate(wanted):
        so, such = f"so{place}_", f"such{place}_"
        if whole or len(word) > INDEXED:
            values[so] = f"{quote}{word}{quote}"
        if not whole:
            values[such] = f"{quote}{word}{quote}{begins}"
        if so in values and such in values:
            there = f"EXISTS ({rows.format(f':{so}')})"
            terms.append(f"(CASE WHEN {there} THEN :{so} ELSE :{such} END)")
        else:
            terms.append(f":{so if whole else such}")
    newest = rows.format(f"({f' || {both} || '.join(terms)})")
    order = "rowid" if sqlite else "number"  # FTS5 is quick in no other
    found = text(f"number IN ({newest} ORDER BY {order} DESC LIMIT :most)").bindparams(
        *(bindparam(name, value, unique=True) for name, value in values.items())
    )
    return select(W.incident).where(found)


def prepare(connection: Connection, *, fill: bool) -> None:
    """Makes the index where it is missing, in the transaction that makes the tables.

    Args:
        fill: the table of words is new: make those of incidents that are there already.
    """
    count = connection.execute(select(func.count()).select_from(INCIDENTS)).scalar() if fill else 0
    if count:
        log.warning("making the words of %d incidents for the search; this happens once", count)
        _fill(connection)
    if connection.dialect.name != "sqlite":
        connection.execute(text(_GIN))
        return
    known = "SELECT 1 FROM sqlite_master WHERE name = 'incident_search'"
    if connection.exec_driver_sql(known).scalar() is None:
        for statement in _FTS5:
            connection.exec_driver_sql(statement)


def lacking(connection: Connection) -> bool:
    """Whether this SQLite was built without what the search needs."""
    known = "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"
    return connection.exec_driver_sql(known).scalar() is None


def _fill(connection: Connection) -> None:
    query = select(N.last, N.id, N.json, N.finding).order_by(N.last, N.id).limit(FILL)
    rows = connection.execute(query).all()
    while rows:
        made = [
            {
                "incident": id,
                "words": _story(Incident.model_validate_json(body)),
                "seen": _seen(Finding.model_validate_json(finding)),
            }
            for _, id, body, finding in rows
        ]
        connection.execute(insert(WORDS), made)
        beyond = tuple_(N.last, N.id) > tuple_(*rows[-1][:2])
        rows = connection.execute(query.where(beyond)).all()


def _story(incident: Incident) -> str:
    """What an incident says of itself."""
    return _joined(
        [incident.id, incident.entity.id, incident.tenant, incident.owner, incident.title,
         incident.summary, *incident.detectors, *incident.services]
    )  # fmt: skip


def _seen(finding: Finding, before: str = "") -> str:
    """What the events behind an incident name, the newest first; of other tenants' nothing."""
    own = [each for each in events(finding) if each.get("tenant_id") in (None, finding.tenant)]
    named = (each.get(name) for name in SEEN for each in own)
    new = _joined(dict.fromkeys(value for value in named if isinstance(value, str)))
    both = dict.fromkeys((*new.split(), *before.split()))
    return before if len(both) == len(before.split()) else " ".join(islice(both, MAX_WORDS))


def _joined(texts: Iterable[str | None]) -> str:
    found: dict[str, None] = {}
    for each in texts:
        found |= dict.fromkeys(words(each or ""))
    return " ".join(islice(found, MAX_WORDS))
