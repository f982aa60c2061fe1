"""Converts rejected originals again; what passes now goes to the journal, or to Kafka."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.adapters import FORMATS, adapt
from schemas.identity import Pepper
from streams import tokens
from streams.admit import admit
from streams.journal import Journal, Limits
from streams.quarantine import Entry, Quarantine
from streams.settings import DAY_S, Settings
from streams.tokens import Tokens
from streams.wiring import context

Append = Callable[[str, Sequence[bytes]], object]


@dataclass
class Told:
    """What came of a retry: entries tried, events accepted, entries that stay."""

    tried: int = 0
    events: int = 0
    left: int = 0


def retry(
    data: Path,
    settings: Settings,
    id: str | None,
    source: str | None,
    limit: int | None,
    append: Append | None = None,
    pepper: Pepper | None = None,
) -> Told:
    """Tries one entry, or those of a source, or all.

    What a sender may write is decided by its token as it is configured now, so that adding a
    tenant to a token and retrying accepts what was refused. An entry goes when every record in it
    passes.

    Args:
        limit: only the newest so many; None for all, the oldest first.
        append: stores the lines of a source (default: in the journal of the data directory).
        pepper: of the installation (default: that of the data directory).
    """
    kept = settings.quarantine
    quarantine = Quarantine(data, max_bytes=kept.max_bytes, keep_s=kept.keep_days * DAY_S)
    known = tokens.load(data, settings)
    pepper = pepper or Pepper.load(data / "pepper")
    one = quarantine.get(id) if id else None
    entries: Iterable[Entry] = [one] if one else []
    if not id:
        entries = quarantine.oldest(source) if limit is None else quarantine.entries(limit, source)
    told = Told()
    with ExitStack() as closing:
        closing.callback(quarantine.close)
        if append is None:
            journal = _journal(data, settings)
            closing.callback(journal.close)
            append = journal.append
        for entry in entries:
            told.tried += 1
            lines = _lines(quarantine, entry, settings, known, pepper)
            if not lines:
                told.left += 1
                continue
            append(entry.source, lines)
            quarantine.remove(entry.id)
            told.events += len(lines)
        quarantine.tidy()
    return told


def _journal(data: Path, settings: Settings) -> Journal:
    kept = settings.journal
    return Journal(
        data / "journal.db", Limits(kept.max_bytes, kept.keep_bytes, kept.keep_days * DAY_S)
    )


def _lines(
    quarantine: Quarantine, entry: Entry, settings: Settings, known: Tokens, pepper: Pepper
) -> list[bytes]:
    token = known.named(entry.source)
    if entry.cut or entry.format not in FORMATS or token is None:
        return []
    observed = datetime.fromtimestamp(entry.at, UTC)
    told = context(settings, pepper.secret, entry.source, observed)
    adapted = adapt(quarantine.original(entry.id), entry.format, told)
    verdict = admit(
        adapted.events, token, observed, timedelta(seconds=settings.server.clock_ahead_s)
    )
    return [] if adapted.rejections or verdict.denied else verdict.events
