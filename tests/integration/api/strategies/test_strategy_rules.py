"""Row C1 and START's checks over HTTP: session hours, the operator's overrides, caps, and what the broker says."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from actors.runtime.names import router_name
from broker.exchange_time import IST
from broker.market.trading_calendar import NseCalendar
from config.settings import Settings, SettingsError
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.mirrored import running_of, runtime_of, strategy_of
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]


def refusal(answer: httpx.Response) -> tuple[str, str]:
    """Field and message of a 422 on one field."""
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    return error["field"], error["message"]


async def start(user: ApiUser, strategy_id: int) -> httpx.Response:
    return await user.call("POST", "/strategy/start", strategy_id=strategy_id)


async def runs_of(sessions: Sessions, strategy_id: int) -> list[Run]:
    async with transaction(sessions) as session:
        return list(await session.scalars(select(Run).where(col(Run.strategy_id) == strategy_id)))


async def change_row(sessions: Sessions, table: type[Any], row_id: int, **values: object) -> None:
    """What happens behind the API's back."""
    async with transaction(sessions) as session:
        await session.execute(update(table).where(table.id == row_id).values(values))


async def connection_of(sessions: Sessions, strategy_id: int) -> BrokerAccount:
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, strategy_id)
        assert strategy is not None
        mine = select(BrokerAccount).where(col(BrokerAccount.user_id) == strategy.user_id)
        return (await session.scalars(mine)).one()


# --- session hours -----------------------------------------------------------------------------------------------

AUCTION = "must be before 15:15, when continuous trading in shares with derivatives ends"
SQUARE_OFF = "must be before 15:20, when the broker squares MIS positions off"
ETF = {"symbol": "NIFTYBEES", "stop_loss": 250.0}  # no futures are written on it

HOURS = [
    ({"buy_time": "09:14:59"}, ("buy_time", "must be 09:15 or later, when the session opens")),
    ({"buy_time": "09:15"}, None),
    ({"sell_time": "15:14:59"}, None),
    ({"sell_time": "15:15"}, ("sell_time", AUCTION)),
    ({"sell_time": "15:15", "product": "CNC"}, ("sell_time", AUCTION)),
    (ETF | {"sell_time": "15:19:59"}, None),
    (ETF | {"sell_time": "15:20"}, ("sell_time", SQUARE_OFF)),
    (ETF | {"sell_time": "15:29:59", "product": "CNC"}, None),
    (ETF | {"sell_time": "15:30", "product": "CNC"}, ("sell_time", "must be before 15:30, when the session closes")),
    ({"symbol": "RCOM-BE", "stop_loss": 1.0, "product": "CNC", "sell_time": "15:29"}, None),
]


@pytest.mark.parametrize(("changes", "refused"), HOURS)
async def test_hours_of_the_exchange_are_kept_at_create(
    trader: ApiUser, settings: Settings, engine: FakeEngine, changes: dict[str, Any], refused: tuple[str, str] | None
) -> None:
    async with serving(settings, engine, calendar="XNSE") as client:
        answer = await at(trader, client).create(**changes)
    if refused is None:
        assert answer.status_code == 201, answer.text
    else:
        assert refusal(answer) == refused


async def test_the_paper_exchange_knows_no_hours(trader: ApiUser) -> None:
    assert (await trader.create(buy_time="00:00", sell_time="23:59:59")).status_code == 201


async def test_hours_are_kept_again_at_patch_and_at_start(
    trader: ApiUser, settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    early = await trader.strategy(buy_time="08:00")
    late = await trader.strategy(**ETF, sell_time="15:25", product="CNC")
    async with serving(settings, engine, calendar="XNSE") as client:
        there = at(trader, client)
        assert refusal(await start(there, early))[0] == "buy_time"
        assert await runs_of(sessions, early) == []
        assert refusal(await there.call("PATCH", f"/strategy/{late}", product="MIS")) == ("sell_time", SQUARE_OFF)
        assert (await there.call("PATCH", f"/strategy/{early}", buy_time="09:30")).status_code == 200
        started = (await start(there, early)).json()
    buy_at = datetime.fromisoformat(started["buy_at"])
    assert NseCalendar().is_session(buy_at.date())
    assert buy_at.strftime("%H:%M:%S %z") == "09:30:00 +0530"


async def test_the_mis_cutoff_is_the_operators(trader: ApiUser, settings: Settings, engine: FakeEngine) -> None:
    cutoff = datetime(2026, 11, 23, 14, 45, tzinfo=IST).time()
    async with serving(settings, engine, calendar="XNSE", mis_cutoff=cutoff) as client:
        there = at(trader, client)
        field, message = refusal(await there.create(sell_time="14:45"))
        assert (field, message) == ("sell_time", "must be before 14:45, when the broker squares MIS positions off")
        assert (await there.create(sell_time="14:45", product="CNC")).status_code == 201


async def test_shares_settled_one_for_one_are_not_traded_intraday(trader: ApiUser) -> None:
    message = "must be CNC: RCOM-BE is not traded intraday"
    assert refusal(await trader.create(symbol="RCOM-BE", stop_loss=1.0)) == ("product", message)
    strategy_id = await trader.strategy(symbol="RCOM-BE", stop_loss=1.0, product="CNC")
    assert refusal(await trader.call("PATCH", f"/strategy/{strategy_id}", product="MIS")) == ("product", message)


def edit(file: Path, text: str) -> None:
    """What an operator does with an editor."""
    file.write_text(text)


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    return tmp_path / "overrides.toml"


@pytest.fixture
def sunday() -> date:
    """A day on which nothing trades, within the coming month."""
    today = datetime.now(IST).date()
    return today + timedelta(days=7 - today.weekday() + 6)


async def test_a_special_session_takes_its_own_times_and_the_file_is_read_again(
    trader: ApiUser, settings: Settings, engine: FakeEngine, overrides: Path, sunday: date
) -> None:
    edit(overrides, "")
    evening = {"buy_time": "18:05", "sell_time": "19:00"}
    async with serving(settings, engine, calendar="XNSE", calendar_overrides=overrides) as client:
        there = at(trader, client)
        assert refusal(await there.create(**evening)) == ("sell_time", AUCTION)
        edit(overrides, f'{sunday} = "18:00-19:15"\n')
        first, second = await there.strategy(**evening), await there.strategy(**evening)
        assert (await start(there, first)).json()["buy_at"] == f"{sunday}T18:05:00+05:30"
        edit(overrides, f'{sunday} = "closed"\n')
        assert refusal(await start(there, second)) == ("sell_time", AUCTION)
        edit(overrides, "not what it should be")
        assert refusal(await start(there, second)) == ("sell_time", AUCTION)


async def test_a_closure_moves_the_start_to_the_next_session(
    trader: ApiUser, settings: Settings, engine: FakeEngine, overrides: Path
) -> None:
    strategy_id = await trader.strategy()
    today = datetime.now(IST).date()
    sessions = [day for n in range(20) if NseCalendar().is_session(day := today + timedelta(days=n))]
    edit(overrides, "".join(f'{day} = "closed"\n' for day in sessions[:3]))
    async with serving(settings, engine, calendar="XNSE", calendar_overrides=overrides) as client:
        started = (await start(at(trader, client), strategy_id)).json()
    assert datetime.fromisoformat(started["buy_at"]).date() == sessions[3]


@pytest.mark.parametrize("content", [None, "2026-11-24 = 5"])
async def test_overrides_that_cannot_be_used_keep_the_api_from_starting(
    settings: Settings, engine: FakeEngine, overrides: Path, content: str | None
) -> None:
    if content is not None:
        edit(overrides, content)
    with pytest.raises(SettingsError, match=r"TRADEACTORS_CALENDAR_OVERRIDES .*overrides\.toml"):
        async with serving(settings, engine, calendar_overrides=overrides):
            raise AssertionError("it serves")


# --- caps --------------------------------------------------------------------------------------------------------


async def test_quantity_and_notional_are_capped_wherever_they_are_set(
    trader: ApiUser, settings: Settings, engine: FakeEngine, paper: PaperExchange, sessions: Sessions
) -> None:
    assert refusal(await trader.create(quantity=100_001)) == ("quantity", "must be at most 100000")
    too_much = "is worth 149050000.00 rupees at the stop-loss price; an order may be worth 100000000 rupees"
    assert refusal(await trader.create(quantity=100_000)) == ("quantity", too_much)
    async with serving(settings, engine, max_quantity=100, max_notional=100_000) as client:
        there = at(trader, client)
        assert refusal(await there.create(quantity=101))[0] == "quantity"
        strategy_id = await there.strategy(stop_loss=100.0, quantity=100)
        assert refusal(await there.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1000.1))[0] == "quantity"
        field, message = refusal(await start(there, strategy_id))
        assert (field, message.split(";")[0]) == ("quantity", "is worth 151000.00 rupees at the market price")
        assert await runs_of(sessions, strategy_id) == []


async def test_too_many_strategies_are_refused_until_one_is_deleted(
    trader: ApiUser, settings: Settings, engine: FakeEngine
) -> None:
    async with serving(settings, engine, max_strategies=2) as client:
        there = at(trader, client)
        first = await there.strategy()
        await there.strategy()
        answer = await there.create()
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_strategies")
        await there.call("DELETE", f"/strategy/{first}")
        assert (await there.create()).status_code == 201


async def test_too_many_running_strategies_are_refused_until_one_is_stopped(
    trader: ApiUser, settings: Settings, engine: FakeEngine
) -> None:
    async with serving(settings, engine, max_running=1) as client:
        there = at(trader, client)
        first, second = await there.started(), await there.strategy()
        answer = await start(there, second)
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_running")
        assert (await start(there, first)).status_code == 200
        await there.call("POST", "/strategy/stop", strategy_id=first)
        assert (await start(there, second)).status_code == 200


# --- what START asks ---------------------------------------------------------------------------------------------


@pytest.fixture
def wipro(paper: PaperExchange) -> Iterator[PaperExchange]:
    """The exchange, on which WIPRO stands at 245.30 before and after."""
    paper.control.set_price("NSE:WIPRO", 245.30)
    yield paper
    paper.control.set_price("NSE:WIPRO", 245.30)


async def test_the_stop_loss_must_be_below_the_market_at_start(
    trader: ApiUser, wipro: PaperExchange, sessions: Sessions
) -> None:
    strategy_id = await trader.strategy(symbol="WIPRO", stop_loss=245.30)
    assert refusal(await start(trader, strategy_id)) == ("stop_loss", "must be below the market price 245.30")
    assert await runs_of(sessions, strategy_id) == []
    assert (await trader.call("GET", f"/strategy/{strategy_id}")).json()["strategy_status"] == "created"
    wipro.control.set_price("NSE:WIPRO", 245.31)
    started = await start(trader, strategy_id)
    wipro.control.set_price("NSE:WIPRO", 200.00)
    again = await start(trader, strategy_id)
    assert (again.status_code, again.text) == (200, started.text)


async def test_start_needs_a_live_broker_session_and_leaves_the_strategy_alone(
    trader: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    strategy_id, running = await trader.strategy(), await trader.started()
    assert trader.paper is not None
    paper.control.expire_token(trader.paper.user_id)
    answer = await start(trader, strategy_id)
    assert answer.status_code == 409
    assert answer.json() == {"detail": "Token expired, please refresh", "code": "broker_token_expired"}
    assert await runs_of(sessions, strategy_id) == []
    assert (await start(trader, running)).status_code == 200
    paper.control.set_token(trader.paper.user_id, "a-new-token-for-this-morning")
    assert (await trader.connect(access_token="a-new-token-for-this-morning")).status_code == 200
    assert (await start(trader, strategy_id)).status_code == 200


async def test_start_goes_on_without_the_broker_and_says_so(trader: ApiUser, paper: PaperExchange) -> None:
    strategy_id = await trader.strategy()
    paper.control.outage(on=True)
    try:
        answer = await start(trader, strategy_id)
    finally:
        paper.control.outage(on=False)
    assert answer.status_code == 200
    message = answer.json()["message"]
    assert message.startswith("Waiting to buy at ")
    assert message.endswith(". Your broker could not be asked for the market price")
    assert (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()["message"] == message
    assert (await start(trader, strategy_id)).json()["message"] == message


async def test_start_says_when_the_broker_session_ends_before_the_buy(
    trader: ApiUser, sessions: Sessions, mirror: RuntimeMirror
) -> None:
    strategy_id = await trader.strategy()
    account = await connection_of(sessions, strategy_id)
    obtained = datetime.now(IST).replace(hour=7) - timedelta(days=2)
    await change_row(sessions, BrokerAccount, account.id, token_obtained_at=obtained)
    message = (await start(trader, strategy_id)).json()["message"]
    ends = f"{obtained + timedelta(days=1):%Y-%m-%d} 06:00"
    assert message.endswith(f". Log in to your broker again before that: its login ends at {ends}")
    (run,) = await runs_of(sessions, strategy_id)
    assert run.message == message
    assert run.state is not None
    assert (run.state["message"], run.state["last_action"]) == (message, "START")  # what the actor begins with
    assert (await runtime_of(mirror, strategy_id))["message"] == message


async def test_the_token_of_the_day_replaces_yesterdays_and_a_symbol_that_is_gone_is_refused(
    trader: ApiUser, sessions: Sessions
) -> None:
    reused, gone = await trader.strategy(), await trader.strategy()
    await change_row(sessions, Strategy, reused, instrument_token=1)
    await change_row(sessions, Strategy, gone, tradingsymbol="GONE")
    assert (await start(trader, reused)).status_code == 200
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, reused)
    assert strategy is not None
    assert strategy.instrument_token == 408065
    field, message = refusal(await start(trader, gone))
    assert (field, message.partition(". ")[0]) == ("symbol", "NSE:GONE is not known to your broker")
    assert await runs_of(sessions, gone) == []


async def test_the_audit_log_tells_what_was_changed_and_started(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id = await trader.strategy()
    await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1480.0, quantity=5)
    started = (await start(trader, strategy_id)).json()
    await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1485.5)
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    (run,) = await runs_of(sessions, strategy_id)
    async with transaction(sessions) as session:
        lines = await session.scalars(
            select(AuditEntry)
            .where(col(AuditEntry.user_id) == run.user_id, col(AuditEntry.subject) == str(strategy_id))
            .order_by(col(AuditEntry.id))
        )
        told = [(line.action, {**line.detail}) for line in lines]
    assert all(detail.pop("request_id") for _, detail in told)
    assert told == [
        ("strategy_create", {}),
        (
            "strategy_patch",
            {"old_stop_loss": "1490.50", "new_stop_loss": "1480.00", "old_quantity": "10", "new_quantity": "5"},
        ),
        ("strategy_start", {"run_id": str(run.id), "buy_at": started["buy_at"]}),
        ("strategy_patch", {"old_stop_loss": "1480.00", "new_stop_loss": "1485.50"}),
        ("strategy_stop", {"run_id": str(run.id), "stop_loss": "1485.50"}),
    ]


# --- symbols -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "stop_loss"), [("M&M", 3000.0), ("BAJAJ-AUTO", 8000.0), ("J&KBANK", 90.0), ("MCDOWELL-N", 1200.0)]
)
async def test_symbols_with_special_characters_work_from_create_to_stop(
    trader: ApiUser, mirror: RuntimeMirror, engine: FakeEngine, symbol: str, stop_loss: float
) -> None:
    strategy_id = await trader.strategy(symbol=symbol.lower(), stop_loss=stop_loss)
    assert (await trader.call("GET", f"/strategy/{strategy_id}")).json()["symbol"] == symbol
    started = await start(trader, strategy_id)
    assert started.status_code == 200, started.text
    assert "could not be asked" not in started.json()["message"]
    assert strategy_id in await running_of(mirror, symbol)
    assert (await strategy_of(mirror, strategy_id))["symbol"] == symbol
    await mirror.put_price(symbol, 123_45, None, datetime.now(IST))
    assert (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()["last_price"] == 123.45
    listed = await trader.call("GET", f"/strategy/list?{httpx.QueryParams(symbol=symbol)}")
    assert [row["strategy_id"] for row in listed.json()["strategies"]] == [strategy_id]
    assert (await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)).status_code == 200
    assert strategy_id not in await running_of(mirror, symbol)
    assert router_name(f"NSE:{symbol}") == f"router:NSE:{symbol}"


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("NIFTY 50", "is an index, which cannot be traded: choose a share"),
        ("NFO:INFY26DECFUT", "must be on NSE or BSE"),
        ("MCX:GOLD", "must be on NSE or BSE"),
        (
            "BSE:NOSUCH",
            "BSE:NOSUCH is not known to your broker. Write it as the exchange does, such as NSE:INFY",
        ),
    ],
)
async def test_what_is_no_share_cannot_be_traded(trader: ApiUser, symbol: str, message: str) -> None:
    assert refusal(await trader.create(symbol=symbol)) == ("symbol", message)
