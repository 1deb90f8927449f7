"""`tradeactors rotate-keys` on the real database, with an API that runs and users who connect meanwhile."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, make_url, text

from actors.ports.execution import BrokerUnavailable
from actors.runtime.clients.broker_accounts import Accounts
from actors.runtime.clients.feed_accounts import FeedAccounts
from api.app import create_app
from config.secret_store import SECRETS_FILE, change_keys, read_secrets
from config.settings import PREFIX, Settings, load_settings
from persistence.database.engine import Sessions, migrate, open_database, sessions_of, transaction
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.errors import RotationRefused
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from persistence.secrets.encryption import generate_key
from persistence.secrets.key_rotation import BATCH, Rotation, rotate_keys
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange
from tests.kit.stack import no_settings_in_environment

pytest_plugins = ["tests.integration.fixtures"]


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    """A database of its own: rotation concerns every row of one."""
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE rotation"))
    url = admin.url.set(database="rotation").render_as_string(hide_password=False)
    try:
        migrate(url)
        yield url
    finally:
        with admin.connect() as connection:
            connection.execute(text("DROP DATABASE rotation WITH (FORCE)"))
        admin.dispose()


@pytest.fixture
async def sessions(database: str) -> AsyncIterator[Sessions]:
    engine = open_database(database, pool_size=5)
    yield sessions_of(engine)
    await engine.dispose()


@pytest.fixture
def settings(
    database: str, redis_url: str, paper: PaperExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """As an embedded stack has them: the keys are in DATA_DIR/secrets.json."""
    monkeypatch.chdir(tmp_path)
    with no_settings_in_environment():
        load_settings(secrets="create", data_dir=tmp_path)
        yield load_settings(
            database_url=database, redis_url=redis_url, paper_root=paper.url, brokers=("paper",), data_dir=tmp_path
        )


@pytest.fixture
def accounts(settings: Settings, sessions: Sessions, mirror: RuntimeMirror) -> Accounts:
    """Credentials as the execution actors read them."""
    return Accounts(settings, RunLedger(sessions, mirror))


async def account_ids(sessions: Sessions) -> list[int]:
    async with transaction(sessions) as session:
        return list(await session.scalars(text("SELECT id FROM broker_accounts ORDER BY id")))


async def versions(sessions: Sessions) -> set[str]:
    async with transaction(sessions) as session:
        return set(await BrokerAccounts(session).key_versions())


async def many_accounts(sessions: Sessions, trader: ApiUser, count: int) -> None:
    """Copies of a trader's row for other users: their secrets open for none of them."""
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "WITH added AS (INSERT INTO users (email, password_hash) "
                "SELECT n || '@copies.example', '-' FROM generate_series(1, :count) n RETURNING id) "
                "INSERT INTO broker_accounts (user_id, broker, broker_user_id, api_key_hint, secrets_box, key_version, "
                "token_obtained_at) SELECT added.id, broker, broker_user_id || added.id, api_key_hint, secrets_box, "
                "key_version, token_obtained_at FROM added, broker_accounts"
            ),
            {"count": count},
        )


def rotate(settings: Settings, **options: bool) -> Any:
    return rotate_keys(settings, **{"new_key": True, "drop_old": False} | options)


async def test_api_and_executions_go_on_with_a_key_they_have_not_seen(
    trader: ApiUser, settings: Settings, sessions: Sessions, accounts: Accounts
) -> None:
    assert trader.paper is not None
    (account_id,) = await account_ids(sessions)
    assert (await accounts.credentials(account_id)).access_token == trader.paper.access_token
    before = await versions(sessions)
    rotation = await rotate(settings)
    assert (rotation.resealed, rotation.unreadable, rotation.unneeded) == (1, (), before)
    assert await versions(sessions) == {rotation.newest} != before
    assert (await accounts.credentials(account_id)).api_key == trader.paper.api_key
    assert (await trader.create()).status_code == 201  # the API asks the broker with the stored credentials
    assert await account_ids(sessions) == [account_id]


async def test_after_old_keys_are_dropped_everything_still_opens_and_new_secrets_use_the_new_key(
    trader: ApiUser, settings: Settings, sessions: Sessions, accounts: Accounts
) -> None:
    first = await rotate(settings)
    dropped = await rotate(settings, new_key=False, drop_old=True)
    assert dropped.newest == first.newest
    assert dropped.dropped == first.unneeded
    stored = read_secrets(settings.data_dir)
    assert stored is not None
    assert len(stored.encryption_keys) == 1
    assert (await trader.connect(api_key=None, api_secret=None)).status_code == 200  # an API that saw neither step
    assert await versions(sessions) == {first.newest}
    (account_id,) = await account_ids(sessions)
    assert (await accounts.credentials(account_id)).api_key == (trader.paper and trader.paper.api_key)


async def test_a_key_that_a_row_needs_is_not_dropped(trader: ApiUser, settings: Settings, sessions: Sessions) -> None:
    await many_accounts(sessions, trader, 3)
    (before,) = await versions(sessions)
    rotation = await rotate(settings, drop_old=True)
    assert (rotation.resealed, len(rotation.unreadable), rotation.dropped) == (1, 3, frozenset())
    stored = read_secrets(settings.data_dir)
    assert stored is not None
    assert len(stored.encryption_keys) == 2
    assert await versions(sessions) == {before, rotation.newest}


async def test_a_row_that_no_key_opens_is_reported_and_left_alone(
    trader: ApiUser, settings: Settings, sessions: Sessions
) -> None:
    await many_accounts(sessions, trader, BATCH * 2 + 1)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE broker_accounts SET key_version = 'ffffffff' WHERE id % 2 = 0"))
    before = len(await account_ids(sessions))
    rotation = await rotate(settings)
    assert rotation.missing >= {"ffffffff"}
    assert rotation.resealed + len(rotation.unreadable) == before
    again = await rotate(settings, new_key=False)
    assert (again.resealed, again.unreadable) == (0, rotation.unreadable)


async def test_connects_that_race_a_rotation_are_never_lost(
    trader: ApiUser, settings: Settings, sessions: Sessions, accounts: Accounts, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    (account_id,) = await account_ids(sessions)
    rotating = True

    async def keep_rotating() -> list[Rotation]:
        done = []
        while rotating:
            done.append(await rotate(settings, drop_old=True))
        return done

    background = asyncio.create_task(keep_rotating())
    for n in range(15):
        token = f"token-number-{n}"
        paper.control.set_token(trader.paper.user_id, token)
        assert (await trader.connect(api_key=None, api_secret=None, access_token=token)).status_code == 200
        assert (await accounts.credentials(account_id)).access_token == token
    rotating = False
    done = await background
    assert len(done) > 3
    assert {rotation.unreadable for rotation in done} == {()}
    assert (await accounts.credentials(account_id)).access_token == "token-number-14"
    last = await rotate(settings, drop_old=True)
    assert await versions(sessions) == {last.newest}


async def test_credentials_that_changed_under_the_rotation_are_not_overwritten_with_the_old(
    trader: ApiUser, settings: Settings, sessions: Sessions
) -> None:
    async with transaction(sessions) as session:
        (seen,) = await BrokerAccounts(session).sealed_with_another("none", 0, 10)
    assert (await trader.connect()).status_code == 200
    async with transaction(sessions) as session:
        assert not await BrokerAccounts(session).reseal(seen, b"old credentials", "ffffffff")
    assert "ffffffff" not in await versions(sessions)
    assert (await rotate(settings)).resealed == 1


async def test_two_rotations_at_once_do_not_drop_each_others_keys(
    trader: ApiUser, settings: Settings, sessions: Sessions, accounts: Accounts
) -> None:
    answers = await asyncio.gather(*(rotate(settings, drop_old=True) for _ in range(4)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(answer, RotationRefused) for answer in refused)
    assert len(refused) < 4
    (account_id,) = await account_ids(sessions)
    assert (await accounts.credentials(account_id)).api_key == (trader.paper and trader.paper.api_key)


async def test_an_interrupted_rotation_is_completed_by_the_next(
    trader: ApiUser, settings: Settings, sessions: Sessions
) -> None:
    (before,) = await versions(sessions)
    fresh = generate_key()
    change_keys(settings.data_dir, lambda keys: (fresh, *keys))  # and then the power fails
    completed = await rotate(settings, new_key=False, drop_old=True)
    assert (completed.resealed, completed.dropped) == (1, {before})
    assert await versions(sessions) == {completed.newest}


async def test_the_rotation_is_audited_without_a_key(trader: ApiUser, settings: Settings, sessions: Sessions) -> None:
    rotation = await rotate(settings, drop_old=True)
    async with transaction(sessions) as session:
        (line,) = await session.execute(text("SELECT * FROM audit_log WHERE action = 'keys_rotated'"))
    assert (line.user_id, line.subject) == (None, rotation.newest)
    assert line.detail == {"resealed": "1", "unreadable": "0", "dropped": ",".join(rotation.dropped)}
    assert trader.paper is not None


@pytest.mark.usefixtures("client")
async def test_one_account_that_cannot_be_decrypted_does_not_blind_the_feed(
    trader: ApiUser, settings: Settings, sessions: Sessions, accounts: Accounts, mirror: RuntimeMirror
) -> None:
    await many_accounts(sessions, trader, 2)
    assert trader.paper is not None
    feed = FeedAccounts(settings, "paper", accounts, RunLedger(sessions, mirror), mirror)
    for _ in range(4):
        tried = await feed.choose()
        assert tried.credentials.access_token == trader.paper.access_token
        feed.refused(tried)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE broker_accounts SET key_version = 'ffffffff'"))
    with pytest.raises(BrokerUnavailable, match="can be decrypted"):
        await feed.choose()


async def test_wrong_keys_make_the_api_not_ready_and_leave_it_serving(
    trader: ApiUser, settings: Settings, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    change_keys(settings.data_dir, lambda _: (generate_key(),))
    with no_settings_in_environment():
        wrong = load_settings(
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            paper_root=settings.paper_root,
            data_dir=settings.data_dir,
        )
    capsys.readouterr()
    app = create_app(wrong, engine)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        assert "encryption_keys_missing" in capsys.readouterr().out
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["encryption_keys"]) == (503, "failed: UnreadableSecret")
        assert (await client.get("/readyz?exclude=encryption_keys")).status_code == 200
        assert (await client.get("/readyz?exclude=nonsense")).status_code == 422
        trader.client = client
        assert (await trader.create()).json()["code"] == "broker_not_connected"
        assert (await trader.connect()).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


class Command:
    """`tradeactors rotate-keys`, as an operator runs it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self.environment |= {
            f"{PREFIX}DATABASE_URL": settings.database_url,
            f"{PREFIX}DATA_DIR": str(settings.data_dir),
        }

    async def __call__(self, *options: str) -> tuple[int, str]:
        argv = [sys.executable, "-P", "-m", "config.commands.cli", "rotate-keys", *options]
        return await asyncio.to_thread(self._run, argv)

    def _run(self, argv: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            argv,
            env=self.environment | {"PYTHONPATH": str(Path(__file__).parents[4])},
            cwd=self._settings.data_dir,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


async def test_the_command_makes_a_key_and_prints_none(trader: ApiUser, settings: Settings, sessions: Sessions) -> None:
    command, path = Command(settings), settings.data_dir / SECRETS_FILE
    jwt_secret = json.loads(path.read_text())["jwt_secret"]
    code, printed = await command()
    assert (code, "re-encrypted: 1." in printed) == (0, True), printed
    kept = json.loads(path.read_text())
    assert (len(kept["encryption_keys"]), kept["jwt_secret"]) == (2, jwt_secret)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    code, dropped = await command("--drop-old")
    assert (code, "Keys removed" in dropped) == (0, True), dropped
    assert len(json.loads(path.read_text())["encryption_keys"]) == 1
    assert list(settings.data_dir.glob(f".{SECRETS_FILE}*")) == []
    assert trader.paper is not None
    for secret in (*kept["encryption_keys"], jwt_secret, trader.paper.api_secret, trader.paper.access_token):
        assert secret not in printed + dropped
    assert (await trader.create()).status_code == 201


async def test_with_keys_of_the_operator_the_command_only_re_encrypts(
    trader: ApiUser, settings: Settings, sessions: Sessions
) -> None:
    (before,) = await versions(sessions)
    path, fresh = settings.data_dir / SECRETS_FILE, generate_key()
    untouched = path.read_text()
    (old,) = json.loads(untouched)["encryption_keys"]
    command = Command(settings)
    command.environment |= {f"{PREFIX}ENCRYPTION_KEYS": f"{fresh},{old}"}
    for options in ((), ("--drop-old",)):
        code, printed = await command(*options)
        assert code == 0, printed
        assert "take them out of TRADEACTORS_ENCRYPTION_KEYS" in printed
        assert before in printed
    assert path.read_text() == untouched
    assert before not in await versions(sessions)
    (settings.data_dir / ".env").write_text(f"{PREFIX}ENCRYPTION_KEYS={fresh},{old}\n")
    assert (await trader.create()).status_code == 201  # an API that runs reads .env again


async def test_the_command_says_what_is_wrong(trader: ApiUser, settings: Settings) -> None:
    command = Command(settings)
    command.environment[f"{PREFIX}ENCRYPTION_KEYS"] = generate_key()
    code, printed = await command()
    assert code == 1
    assert "Connections that no key at hand opens: 1" in printed
    assert "Missing keys" in printed
    command.environment[f"{PREFIX}DATABASE_URL"] = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    code, printed = await command()
    assert (code, printed.strip()) == (
        1,
        "PostgreSQL does not answer: start it, or correct its address, and try again.",
    )
    other = make_url(settings.database_url).set(database="of_nobody").render_as_string(hide_password=False)
    for url, begins in (
        (other, 'PostgreSQL refuses the connection (database "of_nobody" does not exist): start it, or correct'),
        ("postgresql+psycopg://ta:hidden@nowhere.invalid/ta", "PostgreSQL's host has no address: start it, or correct"),
    ):
        command.environment[f"{PREFIX}DATABASE_URL"] = url
        code, printed = await command()
        assert (code, printed[: len(begins)]) == (1, begins)
    assert trader.paper is not None
