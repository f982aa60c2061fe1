"""Signing in with a real OpenID Connect provider (oidc-provider of npm), as a browser would."""

import hashlib
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
import uvicorn

from tests.feed_kit import Office
from tests.peers.environment import cache
from tests.peers.process import Process, clean_environment, free_port

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent / "peers/oidc"
SECRET = "a secret of a test"


def node_modules() -> Path:
    """A folder with the provider and our program, made once."""
    lock = HERE / "package-lock.json"
    home = cache() / f"oidc-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (home / "complete").exists():
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, home)
        command = [
            "npm",
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(home),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        (home / "complete").touch()
    shutil.copy(HERE / "provider.mjs", home)
    return home


@dataclass
class Meeting:
    """A feed and a provider, both listening."""

    office: Office
    feed: str
    provider: str


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meeting]:
    folder = tmp_path_factory.mktemp("oidc")
    port, own = free_port(), free_port()
    issuer, feed = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{own}"
    monkey = pytest.MonkeyPatch()
    monkey.setenv("FEED_TEST_OIDC_SECRET", SECRET)
    office = Office(
        folder,
        oidc={
            "issuer": issuer,
            "client_id": "tripmeter",
            "client_secret_env": "FEED_TEST_OIDC_SECRET",
            "roles": {"soc": "analyst"},
            "tenants_claim": "tenants",
        },
    )
    program = [shutil.which("node") or "node", "provider.mjs", issuer, f"{feed}/oidc/callback"]
    variables = clean_environment(folder, CLIENT_SECRET=SECRET)
    server = uvicorn.Server(uvicorn.Config(office.app, port=own, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    with Process(program, node_modules(), variables):
        thread.start()
        for where in (f"{issuer}/.well-known/openid-configuration", f"{feed}/healthz"):
            _wait(where)
        yield Meeting(office, feed, issuer)
    server.should_exit = True
    thread.join(20)
    monkey.undo()


def _wait(where: str) -> None:
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(transport=transport, timeout=20, trust_env=False) as client:
        client.get(where).raise_for_status()


def sign_in(browser: httpx.Client, meeting: Meeting, name: str, next: str = "/") -> httpx.Response:
    """Follows redirects and fills in the provider's forms until our own answer."""
    answer = browser.get(f"{meeting.feed}/oidc/login", params={"next": next})
    for _ in range(20):
        if answer.is_redirect:
            where = urljoin(str(answer.url), answer.headers["location"])
            answer = browser.get(where)
        elif str(answer.url).startswith(meeting.provider) and "<form" in answer.text:
            form = re.search(r'action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert form is not None and prompt is not None
            fields = {"prompt": prompt[1], "login": name, "password": "any"}
            answer = browser.post(urljoin(str(answer.url), form[1]), data=fields)
        else:
            return answer
    raise AssertionError("it went round in circles")


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


def test_a_person_of_the_provider_gets_the_role_and_tenants_it_names(
    meeting: Meeting, browser: httpx.Client
) -> None:
    meeting.office.found("a")
    meeting.office.found("b", tenant="globex")
    answer = sign_in(browser, meeting, "ana", "/?view=all")

    assert (200, f"{meeting.feed}/?view=all") == (answer.status_code, str(answer.url))
    assert "ana@example.com" in answer.text and "analyst" in answer.text
    assert "hmac:a" in answer.text and "hmac:b" not in answer.text
    assert 403 == browser.get(f"{meeting.feed}/people").status_code


@pytest.mark.parametrize(
    ("name", "reason"), [("eve", "no role here"), ("mal", "address is not verified")]
)
def test_who_has_no_role_or_no_proven_address_stays_outside(
    meeting: Meeting, browser: httpx.Client, name: str, reason: str
) -> None:
    answer = sign_in(browser, meeting, name)

    assert (403, True) == (answer.status_code, reason in answer.text)
    assert 303 == browser.get(f"{meeting.feed}/").status_code


def test_an_answer_that_was_not_asked_for_or_is_used_twice_is_refused(
    meeting: Meeting, browser: httpx.Client
) -> None:
    forged = browser.get(f"{meeting.feed}/oidc/callback", params={"code": "x", "state": "y"})
    assert (400, True) == (forged.status_code, "not begun here" in forged.text)

    begun = browser.get(f"{meeting.feed}/oidc/login")
    state = re.search(r"state=([^&]+)", begun.headers["location"])
    assert state is not None and "code_challenge_method=S256" in begun.headers["location"]
    wrong = browser.get(f"{meeting.feed}/oidc/callback", params={"code": "x", "state": state[1]})
    assert (502, True) == (wrong.status_code, "refused" in wrong.text)
