"""Findings into an S3-compatible bucket."""

import gzip
import json
from typing import Any

import pytest

from alerts.base import Rejected, RetryLater
from alerts.destinations import BadDestinations, Destinations
from alerts.s3 import S3Sink, object_key, to_object
from tests.alerts_fakes import deliveries, finding, rich
from tests.ocsf_schema import problems

exceptions = pytest.importorskip("botocore.exceptions")
TABLE = {"type": "s3", "bucket": "soc-findings"}
CHECKSUM_A = object_key("t/", deliveries(finding("a")))


class Bucket:
    """As boto3's client."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.objects: dict[str, bytes] = {}

    def put_object(self, **arguments: Any) -> None:
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        self.objects[arguments["Key"]] = arguments["Body"]

    def head_bucket(self, **arguments: Any) -> None:
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error


def refused(status: int, code: str) -> Exception:
    told = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = exceptions.ClientError(told, "PutObject")
    return error


def sink(bucket: Bucket) -> S3Sink:
    return S3Sink("s3", "soc-findings", "t/", client=bucket)


def test_a_batch_is_one_object_with_a_record_a_line() -> None:
    bucket = Bucket()
    sink(bucket).send(deliveries(finding("a"), rich(id="b")))
    ((key, body),) = bucket.objects.items()
    records = [json.loads(line) for line in gzip.decompress(body).splitlines()]
    assert (["a", "b"], [[], []]) == (
        [record["finding_info"]["uid"] for record in records],
        [problems(record) for record in records],
    )
    assert key.startswith("t/date=2026-11-20/hour=12/20261120T120001Z-")
    assert key.endswith(".ndjson.gz")


def test_the_same_records_are_the_same_object_on_every_try() -> None:
    bucket = Bucket()
    for _ in range(2):
        sink(bucket).send(deliveries(finding("a")))
    assert [CHECKSUM_A] == list(bucket.objects)
    assert to_object(deliveries(finding("a"))) == bucket.objects[CHECKSUM_A]


def test_other_records_are_another_object() -> None:
    keys = {object_key("t/", deliveries(*(finding(id) for id in ids))) for ids in ("a", "b", "ab")}
    assert 3 == len(keys)


def test_no_name_of_a_finding_becomes_part_of_a_key() -> None:
    assert "evil" not in object_key("t/", deliveries(finding("../../evil")))


@pytest.mark.parametrize(
    ("error", "operator"),
    [
        (refused(403, "AccessDenied"), True),
        (refused(404, "NoSuchBucket"), True),
        (refused(400, "ExpiredToken"), True),
        (refused(503, "SlowDown"), False),
        (refused(500, "InternalError"), False),
        (exceptions.NoCredentialsError(), True),
        (exceptions.NoRegionError(), True),
        (exceptions.EndpointConnectionError(endpoint_url="x"), False),
        (exceptions.ReadTimeoutError(endpoint_url="x"), False),
    ],
)
def test_what_is_not_taken_comes_again(error: Exception, operator: bool) -> None:
    with pytest.raises(RetryLater) as caught:
        sink(Bucket(error)).send(deliveries(finding()))
    assert operator == caught.value.operator


def test_an_object_that_is_too_large_is_halved() -> None:
    with pytest.raises(Rejected, match="EntityTooLarge"):
        sink(Bucket(refused(400, "EntityTooLarge"))).send(deliveries(finding()))


def test_a_look_at_the_bucket_writes_nothing() -> None:
    bucket = Bucket(None, refused(403, "403"), refused(404, "404"))
    assert "the bucket is there (writing was not tried)" == sink(bucket).probe()
    assert "may not look" in sink(bucket).probe()
    with pytest.raises(RetryLater):
        sink(bucket).probe()
    assert {} == bucket.objects


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"token_env": "X"}, "set access_key_id and token_file or token_env"),
        ({"access_key_id": "X"}, "set access_key_id and token_file or token_env"),
        ({"endpoint_url": "http://minio.lan:9000"}, "unencrypted"),
        ({"bucket": "A/B"}, "bucket: is not a usable name"),
    ],
)
def test_mistakes_are_named(change: dict[str, str], reason: str) -> None:
    with pytest.raises(BadDestinations, match=reason):
        Destinations({"s": {**TABLE, **change}})
