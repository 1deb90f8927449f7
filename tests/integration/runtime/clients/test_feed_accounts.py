"""Whose credentials carry the market data: by ability, remembered, and the operator's read again."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from actors.ports.execution import BrokerUnavailable
from actors.runtime.clients.broker_accounts import Accounts
from actors.runtime.clients.feed_accounts import FeedAccounts, in_order
from broker.kite.credentials import KiteCredentials
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from persistence.secrets.encryption import BrokerCredentials, SecretBox, seal_credentials
from tests.kit.builders import NOW

pytest_plugins = ["tests.integration.fixtures"]

ACCOUNTS = 22
"""The good one, and 21 that were connected after it."""


class Feed:
    """The choice of the feed among accounts of a broker, of which only some get prices."""

    def __init__(self, settings: Settings, sessions: Sessions, mirror: RuntimeMirror) -> None:
        self.settings, self.sessions, self.mirror = settings, sessions, mirror
        self.tried: list[str] = []

    def restarted(self, **changes: object) -> FeedAccounts:
        """As a process that has just started."""
        settings = self.settings.model_copy(update=changes)
        ledger = RunLedger(self.sessions, self.mirror)
        return FeedAccounts(settings, "kite", Accounts(settings, ledger), ledger, self.mirror)

    async def connect(self, feed: FeedAccounts, able: str) -> int:
        """Try accounts until the able one's turn: how many tries."""
        self.tried = []
        while True:
            tried = await feed.choose()
            self.tried.append(tried.credentials.api_key)
            if tried.credentials.api_key == able:
                await feed.worked(tried)
                return len(self.tried)
            feed.refused(tried)
            assert len(self.tried) < 3 * ACCOUNTS, "the able account is never tried"


@pytest.fixture
async def feed(settings: Settings, sessions: Sessions, mirror: RuntimeMirror) -> AsyncIterator[Feed]:
    """Kite accounts key1 to key22, each connected a minute after the one before."""
    box = SecretBox.from_settings(settings)
    for number in range(1, ACCOUNTS + 1):
        async with transaction(sessions) as session:
            user_id = await session.scalar(
                text("INSERT INTO users (email, password_hash) VALUES (:email, '-') RETURNING id"),
                {"email": f"feed-{number}@example.com"},
            )
            assert isinstance(user_id, int)
            sealed = seal_credentials(box, user_id, BrokerCredentials(f"key{number}", "secret", "token"))
            await session.execute(
                text(
                    "INSERT INTO broker_accounts (user_id, broker, broker_user_id, api_key_hint, secrets_box, "
                    "key_version, token_obtained_at, connected_at) VALUES (:user_id, 'kite', :number, '', :box, "
                    ":version, now(), :at)"
                ),
                {
                    "user_id": user_id,
                    "number": f"ZZ{number:04d}",
                    "box": sealed.box,
                    "version": sealed.key_version,
                    "at": NOW + timedelta(minutes=number),
                },
            )
    yield Feed(settings, sessions, mirror)
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "DELETE FROM broker_accounts USING users "
                "WHERE broker_accounts.user_id = users.id AND users.email LIKE 'feed-%@example.com'"
            )
        )
        await session.execute(text("DELETE FROM users WHERE email LIKE 'feed-%@example.com'"))


async def test_one_able_account_is_found_among_many_that_were_connected_after_it(feed: Feed) -> None:
    chosen = feed.restarted()
    assert await feed.connect(chosen, "key1") == ACCOUNTS
    assert len(set(feed.tried)) == ACCOUNTS, "each is asked once"
    assert await feed.connect(chosen, "key1") == 1, "after a loss the one that worked comes first"
    assert await feed.connect(feed.restarted(), "key1") == 1, "a process that has just started knows it too"


async def test_who_was_refused_has_another_turn_by_connecting_again_or_when_nobody_else_is_left(feed: Feed) -> None:
    chosen = feed.restarted()
    await feed.connect(chosen, "key20")
    assert feed.tried == ["key22", "key21", "key20"]
    chosen.refused(await chosen.choose())
    assert await feed.connect(chosen, "key19") == 1
    async with transaction(feed.sessions) as session:
        await session.execute(text("UPDATE broker_accounts SET connected_at = now() WHERE broker_user_id = 'ZZ0021'"))
    chosen.refused(await chosen.choose())
    assert await feed.connect(chosen, "key21") == 1
    chosen.refused(await chosen.choose())
    await feed.connect(chosen, "key1")
    await feed.connect(chosen, "key22")
    assert feed.tried == ["key1", "key21", "key1", "key22"], "the last able one fails too: everybody has another turn"


async def test_the_operators_credentials_are_read_again_and_users_serve_while_they_are_refused(
    feed: Feed, tmp_path: Path
) -> None:
    file = tmp_path / "feed.json"
    chosen = feed.restarted(feed_credentials_file=file, feed_broker="kite", brokers=("kite",))
    assert (await chosen.choose()).credentials.api_key == "key22", "the file is not there yet"
    file.write_text(json.dumps({"api_key": "own", "access_token": "of yesterday"}), encoding="utf-8")
    old = await chosen.choose()
    assert old.credentials == KiteCredentials("own", "of yesterday")
    chosen.refused(old)
    assert (await chosen.choose()).credentials.api_key == "key22"
    file.write_text(json.dumps({"api_key": "own", "access_token": "of today"}), encoding="utf-8")
    assert (await chosen.choose()).credentials == KiteCredentials("own", "of today")
    file.write_text("{", encoding="utf-8")
    assert (await chosen.choose()).credentials.api_key == "key22"


async def test_the_operators_credentials_are_for_one_broker(settings: Settings, sessions: Sessions,
    mirror: RuntimeMirror, tmp_path: Path) -> None:  # fmt: skip
    file = tmp_path / "feed.json"
    file.write_text(json.dumps({"api_key": "own", "access_token": "token"}), encoding="utf-8")
    settings = settings.model_copy(update={"feed_credentials_file": file, "brokers": ("paper", "kite")})
    ledger = RunLedger(sessions, mirror)
    accounts = Accounts(settings, ledger)
    assert (await FeedAccounts(settings, "kite", accounts, ledger, mirror).choose()).account_id is None
    with pytest.raises(BrokerUnavailable):
        await FeedAccounts(settings, "paper", accounts, ledger, mirror).choose()


def test_the_last_good_one_comes_first_unless_it_was_refused() -> None:
    connected = [(3, NOW), (2, NOW), (1, NOW)]
    assert in_order(connected, {}, None) == [3, 2, 1]
    assert in_order(connected, {}, 1) == [1, 3, 2]
    assert in_order(connected, {1: NOW}, 1) == [3, 2]
    assert in_order(connected, {1: NOW - timedelta(days=1)}, 1) == [1, 3, 2]
