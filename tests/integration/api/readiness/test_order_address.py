"""Orders would leave from an address that is not registered: who reads what, and when it is over (kite.md §4.7)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import update
from sqlmodel import col

from actors.domain.orders.order_address import SeenAddress
from api.readiness.operator import ADDRESS, OVER_AFTER
from persistence.database.engine import transaction
from persistence.database.models.trading_day.readiness import OperatorFault
from persistence.database.readiness import OperatorFaults
from tests.integration.api.readiness.trading_day import TradingDay, day_of_its_own, details, problems
from tests.integration.api_user import ApiUser
from tests.kit.alerts import AlertInbox
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange
from tests.kit.proxy import forward_proxy

pytest_plugins = ["tests.integration.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

REGISTERED = ("3.7.0.9",)
RIGHT, WRONG = SeenAddress("execution:0", "3.7.0.9"), SeenAddress("execution:1", "3.7.0.10")
NOT_KNOWN = SeenAddress("execution:1", unknown="it does not answer")
FOR_TRADERS = (
    "Your orders would leave from an address that is not registered at your broker, and be refused. The operator of "
    "TradeActors has been notified"
)


@pytest.fixture(scope="module")
def changes(paper: PaperExchange) -> dict[str, Any]:
    """The paper exchange stands for Kite, too."""
    kite = {"kite_root": paper.url, "kite_ws_root": paper.ws_url, "calendar": "24x7", "registration": "open"}
    return {"brokers": ("paper", "kite"), "account_proxies": True, **kite}


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def nothing_is_known(app: FastAPI) -> None:
    """No process has seen a fault."""
    async with transaction(app.state.resources.sessions) as session:
        await OperatorFaults(session).end(ADDRESS, timedelta(0))


async def day_of(app: FastAPI, user: ApiUser, *leaves_from: SeenAddress, **changes: Any) -> TradingDay:
    """A day with one strategy of the user."""
    engine = FakeEngine(leaves_from=list(leaves_from))
    settings: dict[str, Any] = {"order_addresses": REGISTERED} | changes
    day = await TradingDay.of(app, user, day_of_its_own(), engine, **settings)
    await day.plan()
    return day


async def connected(user: ApiUser, paper: PaperExchange, **how: Any) -> ApiUser:
    user.paper = paper.control.new_account()
    answer = await user.connect(**how)
    assert answer.status_code == 200, answer.text
    return user


async def test_who_trades_at_kite_without_a_proxy_reads_it_in_one_sentence_without_addresses(
    app: FastAPI, user: ApiUser, paper: PaperExchange
) -> None:
    day = await day_of(app, await connected(user, paper, broker="kite"), RIGHT, WRONG)
    found = await day.answer(minutes=20)
    assert (found["verdict"], problems(found)) == ("blocked", {"operator": "block"}), found
    assert [(row["will_trade"], row["because"]) for row in found["strategies"]] == [(False, ["operator"])]
    assert details(found, "operator") == [FOR_TRADERS]
    assert "3.7.0" not in str(found)
    assert await day.round(minutes=19) == [f"Will NOT trade today: INFY 09:30. {FOR_TRADERS}."]


async def test_who_has_a_proxy_or_trades_on_paper_is_not_concerned(
    app: FastAPI, user: ApiUser, client: httpx.AsyncClient, paper: PaperExchange
) -> None:
    with forward_proxy() as proxy:
        trader = await connected(await ApiUser.register(client), paper, broker="paper")
        proxied = await connected(user, paper, broker="kite", proxy_url=proxy.proxy.url)
        for one in (proxied, trader):
            found = await (await day_of(app, one, WRONG)).answer(minutes=20)
            assert (found["verdict"], problems(found)) == ("ready", {}), found


@pytest.mark.parametrize(
    ("leaves_from", "others"),
    [
        ((RIGHT,), {}),
        ((NOT_KNOWN,), {}),
        ((RIGHT, NOT_KNOWN), {}),
        ((), {}),
        ((WRONG,), {"order_addresses": ()}),
        ((WRONG,), {"brokers": ("paper",)}),
        ((WRONG,), {"order_addresses": ("3.7.0.10", *REGISTERED)}),
    ],
    ids=["registered", "not-known", "partly-known", "no-place", "no-list", "paper-alone", "both-registered"],
)
async def test_what_is_right_or_not_known_or_not_looked_at_blocks_no_trade(
    app: FastAPI, user: ApiUser, paper: PaperExchange, leaves_from: tuple[SeenAddress, ...], others: dict[str, Any]
) -> None:
    day = await day_of(app, await connected(user, paper, broker="kite"), *leaves_from, **others)
    assert problems(await day.answer(minutes=20)) == {}


async def test_the_operator_reads_both_addresses_once_and_that_it_is_over(
    app: FastAPI, user: ApiUser, paper: PaperExchange
) -> None:
    await connected(user, paper, broker="kite")
    sessions = app.state.resources.sessions
    with AlertInbox() as inbox:
        alerts = {"alert_urls": (SecretStr(inbox.url),)}
        days = [await day_of(app, user, RIGHT, WRONG, **alerts) for _ in range(2)]

        async def leave_from(*places: SeenAddress) -> list[str]:
            """What the operator reads when orders leave from there, a minute later."""
            before = len(inbox.messages)
            for day in days:
                assert isinstance(day.looks_at, FakeEngine)
                day.looks_at.leaves_from = list(places)
                day.clock.at += timedelta(minutes=1)
                await day.operator.tell_changes()
            return inbox.messages[before:]

        async def set_row(**values: datetime) -> None:
            async with transaction(sessions) as session:
                await session.execute(update(OperatorFault).where(col(OperatorFault.code) == ADDRESS).values(values))

        (told,) = await leave_from(RIGHT, WRONG)
        assert told.startswith("Orders leave from 3.7.0.10 (execution:1), and ORDER_ADDRESSES has 3.7.0.9: ")
        assert inbox.all_codes == [ADDRESS]
        assert await leave_from(RIGHT, WRONG) == []

        await set_row(seen_at=datetime.now(UTC) - OVER_AFTER)
        assert await leave_from(RIGHT, NOT_KNOWN) == [], "not known is not over"
        assert problems(await days[0].answer(minutes=20)) == {"operator": "block"}
        await set_row(notified_at=datetime.now(UTC) - timedelta(hours=1))
        (told,) = await leave_from(RIGHT, NOT_KNOWN)
        assert told.startswith("It goes on: Orders left from an address that ORDER_ADDRESSES does not have, ")
        assert told.endswith(" (execution:1: it does not answer)")

        (told,) = await leave_from(RIGHT)
        assert told.startswith("It is over: Orders leave from an address that ORDER_ADDRESSES does not have")
        assert inbox.all_codes == [ADDRESS, ADDRESS, "readiness_restored"]
        assert await leave_from(NOT_KNOWN) == [], "and not known is no fault"
    assert [await day.operator.faults() for day in days] == [(), ()]
