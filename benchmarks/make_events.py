"""Writes a big file of canonical events for the benchmarks: Zipf keys, tool calls, attacks inside.

    python benchmarks/make_events.py FILE [--events 1000000] [--keys 10000] [--tenants 500]
                                          [--span 600] [--seed 7]

`--span` is the event time they are spread over, in seconds: 600 is a busy gateway (few windows
close), 1209600 is two weeks (many do). The same arguments give the same bytes. Prints what is
inside, as JSON.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

START_MS = 1_790_812_800_000  # 2026-10-01T00:00:00Z
DISORDER_MS = 2000
TOOL_SHARE = 0.1
CONVERSATION_SHARE = 0.3
ZIPF = 0.8
SESSION_EVENTS = 32_768  # after so many events of the whole file, a key begins new sessions
CHUNK = 50_000  # events written at a time
MODELS = [
    ("anthropic", "claude-sonnet-4-5", 3.0, 15.0),
    ("openai", "gpt-4o", 2.5, 10.0),
    ("anthropic", "claude-opus-4-1", 15.0, 75.0),
    ("gcp.gemini", "gemini-2.5-pro", 1.25, 10.0),
    ("openai", "gpt-4o-mini", 0.15, 0.6),
    ("aws.bedrock", "llama-3.3-70b", 0.72, 0.72),
]
ERRORS = {
    400: "invalid_request",
    401: "auth",
    403: "permission",
    429: "rate_limit",
    500: "server_error",
    503: "server_error",
}
FOREIGN = 1 << 20  # addresses from here on belong to no key
UNKNOWN = 1 << 24  # keys from here on belong to no tenant
LLM, TOOL, DENIED = 0, 1, 2

Ints = npt.NDArray[np.int64]


@dataclass
class Columns:
    """Events by column; `parts` are joined and put in order by `arrived`."""

    rng: np.random.Generator
    parts: list[dict[str, Ints]] = field(default_factory=list)
    count: int = 0

    def add(self, ms: Ints, **given: Any) -> None:
        """Events at these times. What is not given is drawn as for calm traffic."""
        n, rng = len(ms), self.rng
        base = {
            "kind": 0,
            "status": 200,
            "model": given["key"] % 6 if isinstance(given["key"], np.ndarray) else 0,
            "place": -1,
            "tokens_in": np.exp(rng.normal(6.5, 1.2, n)).astype(int) + 1,
            "tokens_out": np.exp(rng.normal(5.2, 1.0, n)).astype(int) + 1,
            "prompt": self.count + np.arange(n),
            "talk": -1,
            "resource": -1,
            "tenant": -1,  # the key's own
            "effect": 0,
        }
        columns = {**base, **given, "ms": ms, "serial": self.count + np.arange(n)}
        self.parts.append({k: np.broadcast_to(v, n).astype(np.int64) for k, v in columns.items()})
        self.count += n

    def arrived(self) -> dict[str, Ints]:
        """All of them, in order of time with up to two seconds of disorder."""
        columns = {k: np.concatenate([part[k] for part in self.parts]) for k in self.parts[0]}
        delay = self.rng.integers(0, DISORDER_MS, self.count)
        order = np.argsort(columns["ms"] + delay, kind="stable")
        return {name: column[order] for name, column in columns.items()}


def calm(columns: Columns, n: int, keys: int, tenants: int, span_ms: int) -> None:
    """Ordinary calls and tool calls."""
    rng = columns.rng
    weight = 1 / np.arange(1, keys + 1) ** ZIPF
    key = rng.choice(keys, n, p=weight / weight.sum())
    tool = rng.random(n) < TOOL_SHARE
    status = rng.choice([200, 429, 500, 503, 400], n, p=[0.985, 0.009, 0.002, 0.002, 0.002])
    columns.add(
        START_MS + np.sort(rng.integers(0, span_ms, n)),
        key=key,
        kind=tool.astype(int),
        status=np.where(tool & (status != 200), 500, status),
        place=rng.integers(0, 1 + key % 3),
        talk=np.where(tool | (rng.random(n) < CONVERSATION_SHARE), rng.integers(0, 8, n), -1),
        resource=np.where(rng.random(n) < 0.8, rng.zipf(1.5, n) % 200, -1),
        effect=rng.random(n) < 0.1,
        tenant=key % tenants,
    )


def attacks(columns: Columns, keys: int, tenants: int, span_ms: int) -> dict[str, int]:
    """Every family, somewhere in the second half; gives how many of each."""
    rng = columns.rng
    while_ms = min(span_ms // 5, 3_600_000)

    def times(n: int, within_ms: int = while_ms) -> Ints:
        start = START_MS + int(rng.uniform(0.5, 0.78) * span_ms)
        return start + np.sort(rng.integers(0, within_ms, n))

    victims = iter(rng.permutation(keys).tolist())
    for number in range(20):  # stolen and sold
        key, n = next(victims), 600
        columns.add(
            times(n),
            key=key,
            tenant=key % tenants,
            model=2,
            place=FOREIGN + 64 * number + rng.integers(0, 8, n),
            tokens_in=np.exp(rng.normal(7.8, 0.6, n)),
        )
    for number in range(20):  # which models does it open?
        key = next(victims)
        columns.add(
            times(12, 120_000),
            key=key,
            tenant=key % tenants,
            model=np.arange(12) % 6,
            status=rng.choice([403, 200], 12),
            place=FOREIGN + 4096 + number,
            tokens_in=12,
            tokens_out=3,
        )
    for number in range(5):  # one address, many keys
        columns.add(
            times(60, 120_000),
            key=UNKNOWN + 100 * number + np.arange(60),
            tenant=-1,
            kind=DENIED,
            status=401,
            place=FOREIGN + 8192 + number,
            tokens_in=9,
            tokens_out=0,
        )
    for _ in range(5):  # answers every 429 with an immediate new try
        key = next(victims)
        status = rng.choice([429, 200], 800, p=[0.95, 0.05])
        columns.add(times(800), key=key, tenant=key % tenants, place=0, status=status)
    for number in range(5):  # the same prompt again and again
        key = next(victims)
        columns.add(
            times(300, 110_000), key=key, tenant=key % tenants, place=0, prompt=10**9 + number
        )
    for _ in range(50):  # reads what another tenant owns
        key = next(victims)
        columns.add(
            times(1), key=key, tenant=key % tenants, kind=TOOL, place=0, talk=99, resource=500
        )
    for number in range(20):  # a side effect, twice, after success
        key = next(victims)
        columns.add(
            times(2, 60_000),
            key=key,
            tenant=key % tenants,
            kind=TOOL,
            place=0,
            talk=98,
            resource=7,
            effect=1,
            prompt=2 * 10**9 + number,
        )
    return {
        "stolen": 20,
        "sweeps": 20,
        "list_probes": 5,
        "storms": 5,
        "loops": 5,
        "foreign_reads": 50,
        "duplicates": 20,
    }


def lines(columns: dict[str, Ints], tenants: int) -> list[str]:
    """The canonical lines of some events."""
    stamps = np.datetime_as_string(columns["ms"].astype("datetime64[ms]"), unit="us").tolist()
    names = ("serial", "key", "kind", "status", "model", "place", "tokens_in", "tokens_out")
    more = ("prompt", "talk", "resource", "tenant", "effect")
    rows = zip(stamps, *(columns[name].tolist() for name in (*names, *more)), strict=True)
    return [_line(tenants, *row) for row in rows]


def _line(
    tenants: int,
    stamp: str,
    serial: int,
    key: int,
    kind: int,
    http: int,
    model: int,
    place: int,
    tokens_in: int,
    tokens_out: int,
    prompt: int,
    talk: int,
    resource: int,
    tenant: int,
    effect: int,
) -> str:
    ok = http == 200
    who = f'"tenant.id":"tenant-{tenant:04d}",' if tenant >= 0 else ""
    if talk >= 0:
        who += (
            f'"gen_ai.conversation.id":"run-{key:06x}-{talk:04x}-{serial // SESSION_EVENTS:08x}",'
        )
    outcome = '"ok"' if ok else f'"error","error.type":"{ERRORS[http]}"'
    where = (
        f"198.{18 + (place >> 8 & 1)}.{place & 255}.{place >> 9 & 127}"
        if place >= FOREIGN
        else f"10.{key >> 8 & 255}.{key & 255}.{10 + place}"
    )
    head = (
        f'{{"event.schema_version":"1.0","event.id":"00000007-0000-5000-8000-{serial:012x}",'
        f'"event.granularity":"attempt","timestamp":"{stamp}Z","ingest.source":"canonical",'
        f'{who}"api_key.id":"{_hash("key", key)}","status":{outcome},'
        f'"client.address":"{where}","client.address.quality":"peer",'
        f'"user_agent.original":"client-{key % 97:08x}/1.0",'
    )
    if kind == TOOL:
        owner = tenant if resource != 500 else (tenant + 1) % tenants
        thing = ""
        if resource >= 0:
            thing = f'"resource.id":"{_hash("resource", owner, resource)}",'
            if resource % 4:
                thing += (
                    f'"resource.owner.tenant_id":"tenant-{owner:04d}",'
                    '"resource.owner.source":"resolver:registry",'
                )
            elif resource == 500:
                thing += f'"resource.owner.tenant_id":"tenant-{owner:04d}",'
        return (
            f'{head}"event.name":"agent.tool_call","gen_ai.operation.name":"execute_tool",'
            f'"gen_ai.tool.name":"tool_{key % 11}","tool.args.hash":"hmac:{prompt:016x}",'
            f'"tool.args.size":64,{thing}"tool.side_effect":{"true" if effect else "false"},'
            f'"retry.evidence":"none"}}\n'
        )
    provider, name, price_in, price_out = MODELS[model]
    cost = (tokens_in * price_in + tokens_out * price_out) / 1e6 if ok else 0.0
    event = "llm.auth_failure" if kind == DENIED else "llm.request"
    return (
        f'{head}"event.name":"{event}","gen_ai.operation.name":"chat",'
        f'"gen_ai.provider.name":"{provider}","gen_ai.request.model":"{name}",'
        f'"gen_ai.usage.input_tokens":{tokens_in},'
        f'"gen_ai.usage.output_tokens":{tokens_out if ok else 0},"cost.usd":{cost:.8g},'
        f'"cost.source":"reported","http.response.status_code":{http},'
        f'"retry.evidence":"inferred","content.input.hash":"hmac:{prompt:016x}"}}\n'
    )


def _hash(*name: object) -> str:
    text = "|".join(map(str, name)).encode()
    return "hmac:" + hashlib.blake2b(text, digest_size=8).hexdigest()


def main() -> None:
    """Writes the file and prints its contents' summary."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--tenants", type=int, default=500)
    parser.add_argument("--span", type=int, default=600, help="seconds of event time")
    parser.add_argument("--seed", type=int, default=7)
    o = parser.parse_args()
    columns = Columns(np.random.default_rng(o.seed))
    inside = attacks(columns, o.keys, o.tenants, o.span * 1000)
    calm(columns, o.events - columns.count, o.keys, o.tenants, o.span * 1000)
    events = columns.arrived()
    with o.file.open("w", buffering=1 << 20) as out:
        for start in range(0, o.events, CHUNK):
            part = {name: column[start : start + CHUNK] for name, column in events.items()}
            out.writelines(lines(part, o.tenants))
    json.dump({"events": o.events, "bytes": o.file.stat().st_size, "attacks": inside}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
