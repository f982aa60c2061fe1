"""Scenes of tenants that reach for each other's records, sessions and prompts."""

from typing import Any

import numpy as np

from schemas.samples.agents import (
    agent_address,
    agent_key,
    calm_agents,
    owned_resource,
    public_resource,
    session_id,
    unlisted_resource,
)
from schemas.samples.clients import TENANTS
from schemas.samples.cross_tenant import cross_tenant_read, shared_session
from schemas.samples.lines import (
    HOUR_MS,
    SECOND_MS,
    Line,
    Times,
    at,
    fingerprint,
    fingerprints,
    tool_lines,
)
from schemas.samples.plain import lines_of
from schemas.samples.trials import AUTOMATION, Trial, arrived

NOON = at(2, 12)


def _rng(seed: int, scene: int) -> np.random.Generator:
    return np.random.default_rng((seed, 700 + scene))


def _pair(seed: int) -> tuple[str, str]:
    one, other = _rng(seed, 0).permutation(TENANTS)[:2].tolist()
    return str(one), str(other)


def _work(seed: int) -> list[Line]:
    """The agents of the pair, and of some other tenants, at their usual work."""
    some = dict.fromkeys([*_pair(seed), *TENANTS[:6]])
    return [line for t in some for day in range(3) for line in calm_agents(seed, t, day, 15)]


def _run(
    seed: int, name: str, ms: Times, tenant: str, resources: list[str], **more: Any
) -> list[Line]:
    named = {"tool": "get_order", "owner": None, **more}
    return tool_lines(
        (seed, name, tenant),
        ms,
        tenant=tenant,
        key=agent_key(seed, tenant),
        session=session_id(seed, name, tenant),
        args=[fingerprint(name, one) for one in resources],
        address=agent_address(tenant),
        resource=resources,
        **named,
    )


def _every(count: int, seconds: float) -> Times:
    return np.asarray(NOON + np.arange(count) * round(seconds * SECOND_MS), np.int64)


# foreign-resource


def listed_record(seed: int) -> list[bytes]:
    """A record that the registry gives to somebody else."""
    one, other = _pair(seed)
    return arrived([*_work(seed), *cross_tenant_read(seed, NOON, one, other).lines], seed)


def unlisted_document(seed: int) -> list[bytes]:
    """A document no registry knows, which only the other tenant had used."""
    one, other = _pair(seed)
    thing = unlisted_resource(seed, other, 1)
    lines = _run(seed, "unlisted", _every(1, 1), one, [thing], tool="read_document")
    return arrived([*_work(seed), *lines], seed)


def own_work(seed: int) -> list[bytes]:
    """Agents that use their own tenants' records and the handbook everybody reads."""
    return arrived(_work(seed), seed)


def support_case(seed: int) -> list[bytes]:
    """A tenant that is allowed to help others."""
    _, other = _pair(seed)
    things = [owned_resource(seed, other, n) for n in range(5)]
    lines = _run(seed, "support", _every(5, 9), AUTOMATION, things, owner=other)
    return arrived([*_work(seed), *lines], seed)


# shared-session


def one_session(seed: int) -> list[bytes]:
    """One session id carries the calls of two tenants."""
    return arrived([*_work(seed), *shared_session(seed, NOON, *_pair(seed)).lines], seed)


# resource-enumeration


def refused_walk(seed: int) -> list[bytes]:
    """Ids are tried one after the other; most are refused."""
    rng, (one, _) = _rng(seed, 1), _pair(seed)
    count = int(rng.integers(15, 80))
    ids = fingerprints(count, seed, "guessed")
    ok = (rng.random(count) < 0.2).tolist()
    lines = _run(seed, "walk", _every(count, float(rng.uniform(1, 15))), one, ids, ok=ok)
    return arrived([*_work(seed), *lines], seed)


def answered_walk(seed: int) -> list[bytes]:
    """Ids are tried one after the other, and nothing is refused."""
    rng, (one, _) = _rng(seed, 2), _pair(seed)
    count = int(rng.integers(30, 100))
    ids = fingerprints(count, seed, "others")
    lines = _run(seed, "walk", _every(count, float(rng.uniform(1, 12))), one, ids)
    return arrived([*_work(seed), *lines], seed)


def own_export(seed: int) -> list[bytes]:
    """A job that reads all of its tenant's records."""
    one, _ = _pair(seed)
    things = [owned_resource(seed, one, n) for n in range(120)]
    return arrived(
        [*_work(seed), *_run(seed, "export", _every(120, 2), one, things, owner=one)], seed
    )


def handbook(seed: int) -> list[bytes]:
    """An agent that reads all pages of the handbook, again and again."""
    one, _ = _pair(seed)
    pages = [public_resource(seed, n) for n in range(12)] * 6
    lines = _run(seed, "reader", _every(72, 4), one, pages, tool="read_handbook")
    return arrived([*_work(seed), *lines], seed)


# unexplained-input and cache-timing-probe


def _words(seed: int, name: str, ms: Times, **columns: Any) -> list[Line]:
    named = {
        "tenant_id": _pair(seed)[0],
        "api_key_id": fingerprint(seed, "asks"),
        "request_model": "gpt-4o",
        "status": "ok",
        "http_status": 200,
        "output_tokens": 2,
        "content_input_hash": fingerprints(len(ms), seed, name),
    }
    return lines_of((seed, name), ms, **{**named, **columns})


def spliced(seed: int) -> list[bytes]:
    """A check every few minutes; from some moment on, something is added to it on the way."""
    rng = _rng(seed, 3)
    ms = _every(200, float(rng.uniform(60, 300)))
    begin, more = int(rng.integers(50, 150)), int(rng.integers(600, 6000))
    tokens = np.where(np.arange(200) < begin, 60, 60 + more)
    check = fingerprint(seed, "check")
    return arrived(_words(seed, "check", ms, content_input_hash=check, input_tokens=tokens), seed)


def steady_check(seed: int) -> list[bytes]:
    """A check every few minutes that always has the same size, on a model that is changed once."""
    ms = _every(200, 120)
    models = ["gpt-4o"] * 100 + ["claude-haiku-4-5"] * 100
    lines = _words(
        seed,
        "steady",
        ms,
        content_input_hash=fingerprint(seed, "check"),
        request_model=models,
        input_tokens=[700] * 100 + [1900] * 100,
    )
    return arrived(lines, seed)


def classifier(seed: int) -> list[bytes]:
    """Texts of every size are sorted with a word each; some begin with what is cached."""
    rng = _rng(seed, 4)
    lines = _words(
        seed,
        "classifier",
        np.asarray(NOON + np.sort(rng.integers(0, HOUR_MS, 600)), np.int64),
        input_tokens=900 + np.rint(rng.lognormal(5, 1, 600)).astype(int),
        time_to_first_chunk_s=np.where(rng.random(600) < 0.5, 0.08, 0.4),
    )
    return arrived(lines, seed)


def guesses(seed: int) -> list[bytes]:
    """Prompts grow guess by guess; a right beginning is answered fast."""
    rng = _rng(seed, 5)
    count = int(rng.integers(60, 200))
    right = rng.random(count) < rng.uniform(0.1, 0.4)
    wait = np.where(right, 0.06, 0.06 * rng.uniform(4, 15)) * rng.lognormal(0, 0.1, count)
    lines = _words(
        seed,
        "guesses",
        _every(count, float(rng.uniform(2, 25))),
        input_tokens=1200 + np.cumsum(right),
        time_to_first_chunk_s=wait.round(4),
    )
    return arrived(lines, seed)


def quiz(seed: int) -> list[bytes]:
    """A dialogue in which each answer is a word: it grows, and is answered evenly."""
    rng = _rng(seed, 6)
    lines = _words(
        seed,
        "quiz",
        _every(80, 12),
        input_tokens=500 + np.cumsum(rng.integers(5, 40, 80)),
        time_to_first_chunk_s=rng.lognormal(-1.5, 0.15, 80).round(4),
    )
    return arrived(lines, seed)


TRIALS = {
    "foreign-resource": Trial((listed_record, unlisted_document), (own_work, support_case)),
    "shared-session": Trial((one_session,), (own_work,)),
    "resource-enumeration": Trial((refused_walk, answered_walk), (own_export, handbook, own_work)),
    "unexplained-input": Trial((spliced,), (steady_check, classifier)),
    "cache-timing-probe": Trial((guesses,), (classifier, quiz)),
}
