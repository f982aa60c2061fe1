"""Real receivers of findings: Tenzir (HEC, _bulk, OTLP, syslog), moto's S3, other parsers."""

import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from alerts.base import Delivery, RetryLater, Sink
from alerts.cef import to_cef
from alerts.destinations import Destinations
from alerts.webhook import signed, to_webhook
from schemas.finding import LANES, Entity, Severity
from tests.alerts_fakes import deliveries, finding, hostile, rich
from tests.ocsf_schema import problems
from tests.peers.environment import python_of
from tests.peers.process import clean_environment
from tests.peers.receivers import Receiver, hand_over, run_python, tenzir

pytestmark = pytest.mark.peer

COUNT = 10_000
TOKEN = "11111111-2222-3333-4444-555555555555"
HEC = f'accept_splunk "127.0.0.1:@PORT@", hec_token="{TOKEN}"'
SEVERITIES = list(Severity)


NASTY = [*"|\\=]\"'[<>% #:;,{}$`\n\r\t\0\x1b\x7f\x85\u2028\u202e\ufeff\u200b", "é", "漢", "🔑"]
NASTY += ["CEF:0|", " cs1=", "]]", '\\"', "<34>1 ", "12 ", "null", "%{x}", "\ud7ff", " msg="]


def text(number: int) -> str:
    """What an attacker may call a key, a tenant or a model."""
    chosen = random.Random(number)
    return "".join(chosen.choice((*NASTY, "a", "b", "1")) for _ in range(chosen.randint(1, 60)))


def many(count: int = COUNT) -> list[Delivery]:
    """Findings of all sizes. Every tenth has names an attacker made up; every five hundredth is the
    largest and nastiest there is."""
    plain, full = finding(), rich()
    nasty = [hostile(lane) for lane in LANES]
    made = []
    for number in range(count):
        base = nasty[number % 5] if number % 500 == 499 else (plain, full)[number % 2]
        changes = {"id": f"f{number:05}", "severity": SEVERITIES[number % 5]}
        if number % 10 == 3:
            names = ("client_address", "request_model", "user_agent")
            entity = Entity(lane="session", id=text(number + 1))
            seen = {"events": [{name: text(number + at) for at, name in enumerate(names, 2)}]}
            changes |= {"tenant": text(number), "entity": entity, "evidence": seen}
            changes |= {"summary": text(number + 9) + text(number + 8)}
        made.append(base.model_copy(update=changes))
    return deliveries(*made)


def sink(folder: Path, monkeypatch: pytest.MonkeyPatch, **table: Any) -> Sink:
    """As the configuration makes it."""
    monkeypatch.setenv("PEER_TOKEN", TOKEN)
    (made,) = Destinations({"peer": table}, folder).open(folder / "unused.db")
    return made


def assert_all(sent: Sequence[Delivery], got: Sequence[str]) -> None:
    """Each key exactly once."""
    assert Counter(each.key for each in sent) == Counter(got)


def splunk(peer: Receiver, **more: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{peer.port}"
    return {"type": "splunk_hec", "url": url, "token_env": "PEER_TOKEN", **more}


def test_every_finding_arrives_through_hec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = many()
    with tenzir(tmp_path, HEC) as peer:
        target = sink(tmp_path, monkeypatch, **splunk(peer))
        assert "takes the token" == target.probe()  # type: ignore[attr-defined]
        hand_over(target, sent)
        got = peer.records(COUNT)
    assert_all(sent, [record["fields"]["key"] for record in got])
    assert {each.key: each.finding.summary for each in sent} == {
        record["fields"]["key"]: record["event"]["message"] for record in got
    }


def test_a_wrong_token_is_for_an_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tenzir(tmp_path, HEC) as peer:
        target = sink(tmp_path, monkeypatch, **splunk(peer))
        monkeypatch.setenv("PEER_TOKEN", "99999999-2222-3333-4444-555555555555")
        with pytest.raises(RetryLater, match="code") as caught:
            target.send(many(1))
        assert caught.value.operator


def test_what_is_not_acknowledged_comes_again_under_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = many(200)
    with tenzir(tmp_path, HEC + ", ack=true") as peer:  # alone, it acknowledges nothing, ever
        table = splunk(peer, acknowledge=True, acknowledge_timeout_s=1)
        target = sink(tmp_path, monkeypatch, **table)
        for _ in range(2):
            with pytest.raises(RetryLater, match="accepted but not indexed in 1 s"):
                target.send(sent)
        got = Counter(record["fields"]["key"] for record in peer.records(400))
    assert {each.key: 2 for each in sent} == got


def test_every_finding_arrives_through_bulk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = many()
    source = 'accept_elasticsearch "http://127.0.0.1:@PORT@", keep_actions=true'
    with tenzir(tmp_path, source) as peer:
        url = f"http://127.0.0.1:{peer.port}"
        target = sink(tmp_path, monkeypatch, type="elastic", url=url, token_env="PEER_TOKEN")
        hand_over(target, sent)
        got = peer.records(2 * COUNT)
    documents = got[1::2]
    assert_all(sent, [action["create"]["_id"] for action in got[::2]])
    assert_all(sent, [document["event"]["id"] for document in documents])
    assert [] == _invalid([document["event"]["original"] for document in documents])


def test_every_finding_arrives_as_an_opentelemetry_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = many()
    with tenzir(tmp_path, 'accept_otlp "127.0.0.1:@PORT@", transport="http"') as peer:
        url = f"http://127.0.0.1:{peer.port}"
        target = sink(tmp_path, monkeypatch, type="otlp_logs", url=url)
        hand_over(target, sent)
        got = peer.records(COUNT)
    keys = [_attribute(record, "tripmeter.key") for record in got]
    assert_all(sent, keys)
    assert [] == _invalid([record["body"]["string_value"] for record in got])


def test_cef_reads_the_same_in_tenzir_and_in_pycef(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = many(1000)
    source = (
        'accept_tcp "127.0.0.1:@PORT@" { read_syslog octet_counting=true }\n'
        "cef = message.parse_cef()\n"
    )
    with tenzir(tmp_path, source) as peer:
        table = {"type": "syslog", "host": "127.0.0.1", "port": peer.port, "tls": False}
        target = sink(tmp_path, monkeypatch, **table)
        hand_over(target, sent)
        got = peer.records(len(sent))
        target.close()
    theirs = {record["cef"]["extension"]["cs3"]: record["cef"] for record in got}
    lines = [to_cef(each) for each in sent]
    (tmp_path / "lines.json").write_text(json.dumps(lines))
    told = json.loads(run_python(PYCEF, str(tmp_path / "lines.json")))
    assert {each.key for each in sent} == set(theirs)
    for delivery, pycef in zip(sent, told, strict=True):
        assert _like_pycef(theirs[delivery.key]) == pycef


PYCEF = """
import json, logging, pathlib, pycef, sys
lines = json.loads(pathlib.Path(sys.argv[1]).read_text())
print(json.dumps([pycef.parse(line) for line in lines]))
"""


def _like_pycef(cef: dict[str, Any]) -> dict[str, str]:
    """Tenzir's reading in pycef's shape: labels name their values, everything is text."""
    extension = {name: value for name, value in cef["extension"].items() if value is not None}
    result = {
        "CEFVersion": cef["cef_version"],
        "DeviceVendor": cef["device_vendor"],
        "DeviceProduct": cef["device_product"],
        "DeviceVersion": cef["device_version"],
        "DeviceEventClassID": cef["signature_id"],
        "Name": cef["name"],
        "DeviceName": cef["name"],
        "Severity": cef["severity"],
        "DeviceSeverity": cef["severity"],
    }
    for name, value in extension.items():
        if not name.endswith("Label"):
            result[str(extension.get(f"{name}Label", name))] = value
    return {name: str(value) for name, value in result.items()}


def test_every_finding_arrives_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    sent = many(2000)

    def command(port: int) -> list[str]:
        return [str(python_of("siem")), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    with Receiver(tmp_path, command, clean_environment(tmp_path)) as peer:
        url = f"http://127.0.0.1:{peer.port}"
        keys = {"aws_access_key_id": "K", "aws_secret_access_key": TOKEN}
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        table = {
            "type": "s3",
            "bucket": "soc-findings",
            "endpoint_url": url,
            "token_env": "PEER_TOKEN",
        }
        target = sink(tmp_path, monkeypatch, **table, access_key_id="K", region="us-east-1")
        with pytest.raises(RetryLater, match="NoSuchBucket") as caught:
            target.send(sent[:1])
        assert caught.value.operator
        client.create_bucket(Bucket="soc-findings")
        hand_over(target, sent)
        hand_over(target, sent)  # a repetition replaces what is there
        listed = client.list_objects_v2(Bucket="soc-findings")["Contents"]
        bodies = [
            client.get_object(Bucket="soc-findings", Key=each["Key"])["Body"].read()
            for each in listed
        ]
    lines = [line for body in bodies for line in gzip.decompress(body).splitlines()]
    assert_all(sent, [json.loads(line)["metadata"]["uid"] for line in lines])


def test_the_official_library_verifies_our_webhooks(tmp_path: Path) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    program = (
        "import json, sys, time\n"
        "from standardwebhooks.webhooks import Webhook\n"
        "headers, body = json.loads(sys.argv[2]), open(sys.argv[3]).read()\n"
        "print(Webhook(sys.argv[1]).verify(body, headers)['data']['finding_info']['uid'])\n"
    )
    (each,) = deliveries(rich())
    (tmp_path / "body").write_bytes(to_webhook(each))
    headers = signed(each.key, int(time.time()), to_webhook(each), secret)
    printed = run_python(program, secret, json.dumps(headers), str(tmp_path / "body"))
    assert "f-1" == printed.strip()


def _invalid(records: Sequence[str]) -> list[str]:
    return [problem for text in records[::20] for problem in problems(json.loads(text))]


def _attribute(record: dict[str, Any], name: str) -> str:
    found = record["attributes"]
    if isinstance(found, list):
        found = {each["key"]: each["value"] for each in found}
    value = found[name]
    return str(value["string_value"] if isinstance(value, dict) else value)
