"""What every `OrderGateways` promises, on the fake of the unit tests and on the real one over PostgreSQL."""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from actors.domain.market_hours import ALWAYS_OPEN
from actors.ports.execution import BrokerUnavailable, OrderGateways
from actors.runtime.clients.broker_accounts import Accounts
from actors.runtime.clients.trading_hours import Markets
from config.settings import Settings
from persistence.database.engine import open_database, sessions_of
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from persistence.secrets.encryption import generate_key
from tests.integration.rows import new_run
from tests.kit.builders import NOW
from tests.kit.fakes.clock import ManualWallClock
from tests.kit.fakes.order_gateway import FakeGateway
from tests.kit.fakes.order_gateways import FakeGateways


@dataclass
class Account:
    """An account at the paper exchange; and the gateways when PostgreSQL does not answer."""

    gateways: OrderGateways
    silent: OrderGateways
    account_id: int


@pytest.fixture(params=["fake", "postgresql"])
async def account(request: pytest.FixtureRequest) -> AsyncIterator[Account]:
    if request.param == "fake":
        gateway = FakeGateway(ManualWallClock(NOW))
        yield Account(FakeGateways(gateway), FakeGateways(gateway, down=True), 2)
        return
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{unused.getsockname()[1]}"
    engine = open_database(request.getfixturevalue("postgres_url"), pool_size=1)
    absent = open_database(f"postgresql+psycopg://nobody@{nowhere}/none", pool_size=1)
    mirror = RuntimeMirror.connect(f"redis://{nowhere}")
    settings = Settings.model_validate({"encryption_keys": generate_key()})
    run = await new_run(sessions_of(engine))
    assert run.broker_account_id is not None
    real, silent = (
        Markets(settings, Accounts(settings, RunLedger(sessions_of(database), mirror))) for database in (engine, absent)
    )
    yield Account(real, silent, run.broker_account_id)
    await mirror.close()
    for opened in (engine, absent):
        await opened.dispose()


async def test_an_account_has_a_gateway_and_the_hours_of_its_broker(account: Account) -> None:
    gateway = await account.gateways.gateway(account.account_id)
    assert callable(gateway.place)
    assert await account.gateways.hours(account.account_id) is ALWAYS_OPEN


async def test_an_account_that_cannot_be_read_is_unavailable(account: Account) -> None:
    with pytest.raises(BrokerUnavailable):
        await account.silent.gateway(account.account_id)
    with pytest.raises(BrokerUnavailable):
        await account.silent.hours(account.account_id)
