"""What Slack is told is remembered in PostgreSQL as it is in SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.store_engine import close_store
from tests.fake_slack import FakeSlack, fake_slack
from tests.fake_slack_kit import Bench
from tests.postgres import Postgres, programs
from tests.test_slack_flood import (  # noqa: F401  (run here again, with this module's `bench`)
    test_a_digest_whose_answer_is_lost_is_found_again_and_counts_each_once,
    test_a_flood_is_one_digest_beside_the_first_criticals,
    test_what_becomes_of_incidents_in_a_digest_is_seen_there,
)
from tests.test_slack_sink import (  # noqa: F401
    no_drawing,
    test_a_message_that_somebody_deleted_is_posted_anew,
    test_a_process_killed_between_sending_and_noting_edits_instead_of_posting_again,
    test_an_answer_that_is_lost_on_the_way_makes_no_second_message,
    test_each_reply_comes_once_however_often_it_is_looked_at,
    test_whatever_happens_to_it_edits_that_message,
)

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(programs() is None, reason="needs PostgreSQL (Debian: postgresql)"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module")
def workspace() -> Iterator[FakeSlack]:
    with fake_slack(interval_s=1.0) as slack:
        yield slack


@pytest.fixture
def bench(workspace: FakeSlack, server: Postgres, tmp_path: Path) -> Iterator[Bench]:
    workspace.forget()
    bench = Bench(workspace, tmp_path, store_at=server.database())
    yield bench
    close_store(bench.store.engine)
