"""Several readers of one PostgreSQL: the same lists, searches, sessions and charts as on SQLite."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import test_feed_list as lists
from tests import test_feed_pages as pages
from tests import test_feed_search as search
from tests.feed_kit import HOUR, Office, Person, shown
from tests.postgres import Postgres

pytestmark = pytest.mark.peer

Promise = Callable[[Office, Person], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    made = Postgres()
    yield made
    made.close()


@pytest.fixture
def office(server: Postgres, tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path, server.database())
    yield made
    made.store.close()


@pytest.mark.parametrize(
    "promise",
    [
        lists.test_what_the_address_asks_for_is_shown,
        lists.test_pages_follow_one_another_without_gap_or_repetition_though_new_ones_come,
        search.test_a_search_finds_what_begins_with_each_of_its_words,
        search.test_words_follow_what_becomes_of_an_incident,
        search.test_the_id_of_a_finding_leads_to_its_incident,
        lists.test_text_of_an_attacker_is_inert_on_every_page,
        pages.test_the_overview_adds_up_incidents_and_spend,
        pages.test_habit_and_break_are_drawn_with_gaps_where_nothing_was_kept,
        pages.test_a_silence_is_previewed_made_and_ended,
    ],
)
def test_what_is_promised_on_sqlite_holds_here(office: Office, promise: Promise) -> None:
    promise(office, office.signed_in("analyst"))


def test_who_sees_one_tenant_learns_nothing_by_asking(office: Office) -> None:
    search.test_who_sees_one_tenant_cannot_ask_whether_a_story_names_another(office)


def test_machines_read_the_same_lines(office: Office) -> None:
    pages.test_machines_read_findings_from_a_cursor_on_and_hear_what_is_gone(office)


def test_a_session_of_one_feed_is_known_to_another(server: Postgres, tmp_path: Path) -> None:
    url = server.database()
    one, two = Office(tmp_path, url), Office(tmp_path, url)
    ana = one.signed_in("analyst")
    [id] = one.found("a", at=one.now - HOUR)
    elsewhere = two.anonymous()
    elsewhere.cookies.update(ana.client.cookies)

    assert [id] == shown(elsewhere.get("/"))
    one.store.close()
