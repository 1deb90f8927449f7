"""Schemathesis against the API behind uvicorn, on the real PostgreSQL, Valkey and paper exchange, with two tenants.

Its settings are in tests/fuzz/schemathesis.toml. A case is one request with all checks of its answer; counted for each
operation are those of the examples, coverage and fuzzing phases together.
"""

import json
import os
import re
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr
from structlog.testing import capture_logs

from api.app import create_app
from api.notifications.sending.push_encryption import encode
from config.settings import Settings
from tests.fuzz import PASSWORD
from tests.integration.served import served, settings_of
from tests.kit.mail_server import mail_server
from tests.kit.paper import PaperCredentials, PaperExchange
from tests.kit.telegram import TOKEN, telegram_server

pytest_plugins = ["tests.integration.fixtures"]
pytestmark = pytest.mark.timeout(1200)  # the run is part of whichever test comes first

ROOT = Path(__file__).parents[3]
DOCUMENT = create_app(Settings(_env_file=None)).openapi()
OPERATIONS = {operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()}
WHOLE = 300
CASES = WHOLE if os.environ.get("FUZZ_WHOLE") else 100
"""`make fuzz` tries as many as tests/fuzz/schemathesis.toml says; `make long` a third of them."""

NOTHING_TO_VARY = {"healthz", "metrics", "app_config"}
"""They take no token, no parameter and no body: ten cases are all that there are."""

UNREACHED = {"refresh", "reset_password", "open_login_link", "verify_channel"}
"""No refresh token can be guessed, and no code: the operator's, a login link's, that of a mail."""

LIFECYCLE = {
    "create_strategy",
    "preview_strategy",
    "start_strategy",
    "stop_strategy",
    "strategy_status",
    "get_strategy",
    "patch_strategy",
    "strategy_orders",
    "strategy_timeline",
    "strategy_runs",
    "delete_strategy",
}
SINGLE_PHASES = {"examples", "coverage", "fuzzing"}


@dataclass(frozen=True)
class Report:
    """Of one run: its exit status and output, the cases it checked, and what the API logged meanwhile."""

    status: int
    output: str
    counts: list[tuple[str, str, int, int]]
    log: list[MutableMapping[str, Any]]

    def succeeded(self, phases: set[str]) -> set[str]:
        """The operations that gave an answer of success in these phases."""
        return {name for phase, name, status, _ in self.counts if phase in phases and 200 <= status < 300}


@pytest.fixture(scope="module")
def report(postgres_url: str, redis_url: str, paper: PaperExchange, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The run."""
    folder = tmp_path_factory.mktemp("schemathesis")
    unlimited = {
        "api_rate_per_minute": 0,
        "api_requests_at_once": 0,
        "auth_rate_per_minute": 0,
        "starts_per_minute": 0,
        "max_strategies": 100_000,
        "max_running": 100_000,
    }
    notices: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_security": "none", "smtp_from": "alerts@example.com"}
    notices |= {"vapid_private_key": SecretStr(encode(bytes(31) + b"\7")), "telegram_bot_token": SecretStr(TOKEN)}
    quick = f"{postgres_url}&options=-csynchronous_commit%3Doff"  # nothing here has to outlive a crash
    with ExitStack() as beside:
        notices |= {"smtp_port": beside.enter_context(mail_server()).port}
        notices |= {"telegram_api": beside.enter_context(telegram_server()).root}
        settings = settings_of(quick, redis_url, paper.url, folder, access_token_minutes=60, **unlimited, **notices)
        beside.enter_context(_cheap_passwords())
        log = beside.enter_context(capture_logs())
        url = beside.enter_context(served(settings))
        httpx.get(
            f"{url}/openapi.json", timeout=60, trust_env=False
        ).raise_for_status()  # its first answer takes seconds
        log.clear()  # of the start: the database has rows that other tests sealed with keys of their own
        tenants = [_tenant(url, paper.control.new_account()) for _ in range(2)]
        done = _run(url, tenants, folder / "counts.json")
    assert (folder / "counts.json").exists(), done.stdout + done.stderr
    counts = [tuple(line) for line in json.loads((folder / "counts.json").read_text(encoding="utf-8"))]
    return Report(done.returncode, done.stdout + done.stderr, counts, log)


@contextmanager
def _cheap_passwords() -> Iterator[None]:
    """Argon2 at its least cost: it has tests of its own, and would take a third of the time of this one."""
    with pytest.MonkeyPatch.context() as patch:
        cheapest = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr("api.users.passwords.hashing._HASHER", cheapest)
        patch.setattr("api.users.passwords.hashing._decoy", lambda: cheapest.hash("no user has this password"))
        yield


def _run(url: str, tenants: list[dict[str, Any]], counts: Path) -> subprocess.CompletedProcess[str]:
    st = Path(sys.executable).with_name("st")
    config = counts.with_name("schemathesis.toml")
    config.write_text(_shortened((ROOT / "tests/fuzz/schemathesis.toml").read_text(encoding="utf-8")), encoding="utf-8")
    command = (st, "--config-file", str(config), "run", f"{url}/openapi.json", "--no-color")
    knows = {"FUZZ_URL": url, "FUZZ_TENANTS": json.dumps(tenants), "FUZZ_COUNTS": str(counts)}
    knows |= {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    knows |= {"NETRC": "/no/such/file"}  # requests looks for it each time
    return subprocess.run(command, cwd=ROOT, env=os.environ | knows, capture_output=True, text=True, check=False)


def _shortened(config: str) -> str:
    """The settings with as many examples as `CASES` wants. The chains stay as long: they take a tenth of the time, and
    a third of them does not come by every operation.
    """

    def shorter(found: re.Match[str]) -> str:
        return found[0] if found["chains"] else f"max-examples = {int(found['times']) * CASES // WHOLE + 1}"

    chains = r"(?P<chains>\[phases\.stateful\.generation\]\n)?"
    return re.sub(chains + r"max-examples = (?P<times>\d+)", shorter, config)


def _tenant(url: str, account: PaperCredentials) -> dict[str, Any]:
    """A user with a connected broker account, as `tests.fuzz.hooks.Tenant` has it."""
    email = f"{secrets.token_hex(8)}@example.com"
    credentials = {
        "broker": "paper",
        "api_key": account.api_key,
        "api_secret": account.api_secret,
        "access_token": account.access_token,
    }
    with httpx.Client(base_url=url, trust_env=False) as client:
        registered = client.post("/auth/register", json={"email": email, "password": PASSWORD}).raise_for_status()
        token = registered.json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        client.post("/broker/connect", json=credentials, headers=headers).raise_for_status()
    return {"email": email, "token": token, "credentials": credentials}


def test_nothing_is_found(report: Report) -> None:
    assert report.status == 0, report.output[-20_000:]


def test_no_answer_is_a_5xx_and_nothing_is_logged_as_a_fault(report: Report) -> None:
    assert [case for case in report.counts if case[2] >= 500] == []
    assert [line for line in report.log if line["log_level"] in {"error", "critical"}] == []


def test_every_operation_is_tried_often_enough(report: Report) -> None:
    tried: Counter[str] = Counter()
    for phase, name, _, times in report.counts:
        tried[name] += times if phase in SINGLE_PHASES else 0
    assert {name: tried[name] for name in OPERATIONS - NOTHING_TO_VARY if tried[name] < CASES} == {}
    assert all(tried[name] for name in NOTHING_TO_VARY)


def test_every_operation_succeeds_for_those_who_mean_well(report: Report) -> None:
    assert OPERATIONS - report.succeeded(SINGLE_PHASES) == UNREACHED


def test_the_links_lead_from_a_new_strategy_to_its_end(report: Report) -> None:
    assert report.succeeded({"stateful"}) >= LIFECYCLE
