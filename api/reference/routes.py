"""`/instruments`, `/market/calendar`, `/app/config`: what clients look up. Nothing here changes anything."""

import asyncio
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query

from actors.domain.market_hours import AUCTION_FROM
from actors.domain.money import to_rupees
from api.base.answers.problems import problems
from api.base.clock import utc_now
from api.base.dependencies import resources
from api.base.errors import broker_not_connected
from api.brokers.lookups import BrokerLookups, login_needed
from api.brokers.service import BrokerService
from api.reference.calendar_days import calendar_days, shown
from api.reference.schemas import (
    AppConfig,
    CalendarQuery,
    InstrumentFound,
    InstrumentQuery,
    InstrumentsFound,
    Limits,
    MarketCalendar,
    PasswordLimits,
    RegularHours,
)
from api.users.dependencies import UserId
from api.users.passwords.rules import FEWEST, MOST
from broker.market.instrument_list import ListedInstrument
from broker.market.trading_calendar import TradingCalendars
from config.capacity import Capacity
from config.settings import Settings
from config.version import OLDEST_CLIENT, product_version

router = APIRouter()


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    settings: Settings
    capacity: Capacity
    brokers: BrokerService
    lookups: BrokerLookups
    calendars: TradingCalendars


Opened = Annotated[Used, Depends(resources)]


@router.get("/instruments", operation_id="search_instruments", tags=["instruments"], responses=problems(401, 409))
async def search(user_id: UserId, opened: Opened, query: Annotated[InstrumentQuery, Query()]) -> InstrumentsFound:
    """Shares of your broker's list by what was typed: the beginning of a symbol, or of words of a name.

    Where nothing begins so, the nearest spellings, as create suggests them."""
    account = await opened.brokers.account(user_id)
    if account is None:
        raise broker_not_connected()
    with login_needed():
        found = await opened.lookups.search(account, query.q, query.limit)
    return InstrumentsFound(
        instruments=[_instrument(row) for row in found.instruments],
        nearest=found.nearest,
        note=None if found.change is None else found.change.sentence,
    )


@router.get("/market/calendar", operation_id="market_calendar", tags=["market"], responses=problems(401))
async def calendar(user_id: UserId, opened: Opened, query: Annotated[CalendarQuery, Query()]) -> MarketCalendar:
    """Sessions, holidays, special hours and cut-offs of the coming days."""
    settings, account = opened.settings, await opened.brokers.account(user_id)
    broker = settings.brokers[0] if account is None else account.broker
    name = settings.calendar_for("kite" if broker == "kite" else "paper")
    found = await opened.calendars.get(name)
    now, regular = utc_now().astimezone(settings.zone), found.regular
    # In a thread: three months take some milliseconds, and the operator's file may have to be read.
    days = await asyncio.to_thread(calendar_days, found, now.date(), query.days, settings.mis_cutoff)
    return MarketCalendar(
        calendar=name,
        time_zone=settings.timezone,
        now=now,
        regular=None if regular is None else RegularHours(opens=shown(regular.opens), closes=shown(regular.closes)),
        mis_cutoff=None if regular is None else shown(settings.mis_cutoff),
        auction_from=None if regular is None else shown(AUCTION_FROM),
        known_until=found.known_until,
        days=days,
    )


@router.get("/app/config", operation_id="app_config", tags=["app"], responses=problems())
async def app_config(opened: Opened) -> AppConfig:
    """Who may register, how long passwords are, which brokers there are, and what one user may ask for."""
    settings = opened.settings
    return AppConfig(
        version=product_version(),
        minimum_client_version=OLDEST_CLIENT,
        registration=settings.registration_mode,
        brokers=list(settings.brokers),
        password=PasswordLimits(fewest_characters=FEWEST, most_characters=MOST),
        time_zone=settings.timezone,
        limits=Limits(
            strategies=settings.max_strategies,
            running_strategies=opened.capacity.running_of_user,
            quantity=settings.max_quantity,
            order_value=settings.max_notional,
            requests_per_minute=settings.api_rate_per_minute,
            starts_per_minute=settings.starts_per_minute,
        ),
        login_days=settings.login_days,
        login_unused_days=settings.login_unused_days,
    )


def _instrument(row: ListedInstrument) -> InstrumentFound:
    return InstrumentFound(
        symbol=row.instrument.symbol,
        exchange=row.exchange,
        name=row.name,
        tick_size=float(to_rupees(row.tick_paise)),
        lot_size=row.lot_size,
        mis_allowed=row.intraday_allowed,
        closing_auction=row.has_derivatives,
        freeze_quantity=row.freeze_quantity,
    )
