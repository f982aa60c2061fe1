"""Scenes of answers, tools and planted things that cross tenants, and of what may look so."""

from typing import Any

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import SECOND_MS, Line, Times, at, fingerprint, fingerprints
from schemas.samples.plain import lines_of
from schemas.samples.trials import CANARY, Trial, arrived

NOON = at(0, 12)


def _rng(seed: int, scene: int) -> np.random.Generator:
    return np.random.default_rng((seed, 600 + scene))


def _pair(seed: int) -> tuple[str, str]:
    one, other = _rng(seed, 0).permutation(TENANTS)[:2].tolist()
    return str(one), str(other)


def _times(seconds: Any) -> Times:
    return np.asarray(NOON + np.asarray(seconds) * SECOND_MS, np.int64)


def _answers(seed: int, name: str, seconds: Any, tenant: Any, **columns: Any) -> list[Line]:
    """Answered model calls, each with a prompt and an answer of its own unless columns say else."""
    ms, rng = _times(seconds), np.random.default_rng((seed, len(name)))
    count = len(ms)
    named = {
        "tenant_id": tenant,
        "api_key_id": fingerprint(seed, name, "key"),
        "request_model": "gpt-4o",
        "status": "ok",
        "http_status": 200,
        "input_tokens": 800,
        "output_tokens": np.rint(rng.lognormal(5.5, 0.4, count)).astype(int) + 64,
        "cost_usd": 0.01,
        "latency_ms": rng.lognormal(8, 0.3, count).round(1),
        "content_input_hash": fingerprints(count, seed, name, "prompt"),
        "content_output_hash": fingerprints(count, seed, name, "answer"),
    }
    return lines_of((seed, name), ms, **{**named, **columns})


def _background(seed: int) -> list[Line]:
    """Both tenants at work, each with answers of its own."""
    rng, lines = _rng(seed, 1), []
    for tenant in _pair(seed):
        lines += _answers(seed, f"work of {tenant}", np.sort(rng.uniform(0, 3000, 60)), tenant)
    return lines


def cached_answer(seed: int) -> list[bytes]:
    """The second tenant asks what the first had asked, and a cache answers."""
    rng, (one, other) = _rng(seed, 2), _pair(seed)
    begin, apart = rng.uniform(0, 900), rng.uniform(5, 2000)
    sign: Any = [
        {"response_id": "chatcmpl-1"},
        {"cost_usd": [0.02, 0.0]},
        {"latency_ms": [4000.0, 12.0]},
    ][int(rng.integers(3))]
    lines = _answers(
        seed,
        "cached",
        [begin, begin + apart],
        [one, other],
        content_input_hash=fingerprint(seed, "same prompt"),
        content_output_hash=fingerprint(seed, "same answer"),
        **sign,
    )
    return arrived([*_background(seed), *lines], seed)


def same_question(seed: int) -> list[bytes]:
    """Both tenants ask the same, and the model says the same twice: both paid and waited."""
    rng, tenants = _rng(seed, 3), _pair(seed)
    lines = _answers(
        seed,
        "faq",
        np.sort(rng.uniform(0, 3000, 20)),
        [tenants[int(i)] for i in rng.integers(0, 2, 20)],
        content_input_hash=fingerprint(seed, "how do I reset my password"),
        content_output_hash=fingerprint(seed, "like this"),
        response_id=[f"chatcmpl-{i}" for i in range(20)],
        latency_ms=rng.uniform(2000, 6000, 20).round(1),
    )
    return arrived([*_background(seed), *lines], seed)


def own_cache(seed: int) -> list[bytes]:
    """A cache that is kept by tenant answers each of them again and again."""
    lines = []
    for tenant in _pair(seed):
        lines += _answers(
            seed,
            f"cache of {tenant}",
            np.arange(20) * 60,
            tenant,
            content_input_hash=fingerprint(seed, tenant, "prompt"),
            content_output_hash=fingerprint(seed, tenant, "answer"),
            cost_usd=[0.02, *[0.0] * 19],
            response_id=f"chatcmpl-{tenant}",
        )
    return arrived([*_background(seed), *lines], seed)


def echo(seed: int) -> list[bytes]:
    """A connection gives the second tenant what the first was to get."""
    rng, (one, other) = _rng(seed, 4), _pair(seed)
    begin = rng.uniform(0, 2000)
    lines = _answers(
        seed,
        "echo",
        [begin, begin + rng.uniform(0.5, 300)],
        [one, other],
        content_output_hash=fingerprint(seed, "an answer"),
        response_id="chatcmpl-7" if rng.random() < 0.5 else None,
    )
    return arrived([*_background(seed), *lines], seed)


def canned(seed: int) -> list[bytes]:
    """A program's refusal, which each tenant gets for many prompts."""
    rng, (one, other) = _rng(seed, 5), _pair(seed)
    answer = fingerprint(seed, "I cannot help with that")
    early = _answers(seed, "refusals", rng.uniform(0, 600, 9), one, content_output_hash=answer)
    late = _answers(seed, "later", rng.uniform(1000, 3000, 9), other, content_output_hash=answer)
    return arrived([*_background(seed), *early, *late], seed)


def _lists(seed: int, name: str, ms: Times, **columns: Any) -> list[Line]:
    named = {
        "event_name": "agent.tool_list",
        "tenant_id": _pair(seed)[0],
        "api_key_id": fingerprint(seed, "agent"),
        "mcp_server_name": "files",
        "status": "ok",
    }
    return lines_of((seed, name), ms, **{**named, **columns})


def rug_pull(seed: int) -> list[bytes]:
    """A server shows other tools later in a session."""
    rng = _rng(seed, 6)
    lists = [fingerprint(seed, "tools")] * int(rng.integers(1, 5)) + [fingerprint(seed, "others")]
    ms = _times(np.cumsum(rng.uniform(20, 900, len(lists))))
    return arrived(
        _lists(seed, "pull", ms, mcp_session_id=f"mcp-{seed}", content_output_hash=lists), seed
    )


def new_release(seed: int) -> list[bytes]:
    """A server is released; each session sees one list, newer sessions the newer one."""
    rng, lines = _rng(seed, 7), []
    for number in range(30):
        ms = _times(number * 300 + np.cumsum(rng.uniform(5, 60, int(rng.integers(1, 5)))))
        version = fingerprint(seed, "release", number // 10)
        lines += _lists(
            seed, f"s{number}", ms, mcp_session_id=f"mcp-{number}", content_output_hash=version
        )
    return arrived(lines, seed)


def _tools(seed: int, name: str, ms: Times, tenant: str, **columns: Any) -> list[Line]:
    named = {
        "event_name": "agent.tool_call",
        "tenant_id": tenant,
        "api_key_id": fingerprint(seed, "agent", tenant),
        "conversation_id": f"run-{seed}-{name}",
        "tool_name": "read",
        "status": "ok",
        "tool_args_hash": fingerprints(len(ms), seed, name, "arguments"),
    }
    return lines_of((seed, name), ms, **{**named, **columns})


def planted(seed: int) -> list[bytes]:
    """What was planted comes up: in a result, as a destination, or as a record of somebody else."""
    rng, (one, other) = _rng(seed, 8), _pair(seed)
    marked = {"resource_id": "planted", "resource_owner_source": "canary"}
    found: Any = [
        {"tool_result_sampled_ids": [("x", CANARY)]},
        {"tool_destination_ids": [(CANARY,)]},
        {"resource_id": CANARY},
        {**marked, "resource_owner_tenant_id": one},
    ][int(rng.integers(4))]
    lines = _tools(seed, "work", _times(np.arange(20) * 30), one)
    return arrived([*lines, *_tools(seed, "leak", _times([333]), other, **found)], seed)


def own_planted(seed: int) -> list[bytes]:
    """The tenant's own job walks over all of its records, the planted one too."""
    one, _ = _pair(seed)
    records = [*fingerprints(20, seed, "records"), CANARY]
    lines = _tools(
        seed,
        "inventory",
        _times(np.arange(21) * 5),
        one,
        resource_id=records,
        resource_owner_tenant_id=one,
        resource_owner_source=["resolver:registry"] * 20 + ["canary"],
    )
    return arrived(lines, seed)


TRIALS = {
    "shared-cache": Trial((cached_answer,), (same_question, own_cache, canned)),
    "echoed-response": Trial((echo,), (canned, same_question, own_cache)),
    "toolset-change": Trial((rug_pull,), (new_release,)),
    "leaked-canary": Trial((planted,), (own_planted,)),
}
