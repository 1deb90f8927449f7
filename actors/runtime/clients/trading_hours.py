"""The accounts of an execution actor, and the hours of their markets by the calendar and the settings."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import date

import structlog

from actors.domain.market_hours import ALWAYS_OPEN, MarketHours
from actors.domain.session import SessionHours
from actors.ports.execution import OrderGateway
from actors.runtime.clients.broker_accounts import Accounts
from broker.market.overrides import InvalidOverrides
from broker.market.trading_calendar import TradingCalendars
from config.settings import Settings

log = structlog.get_logger(__name__)

_LASTS_S = 30.0
"""How long until a change of the operator's file is noticed; an order never waits for a look at it."""


class Markets:
    """`OrderGateways`: the accounts of the deployment, and the hours of their brokers."""

    def __init__(self, settings: Settings, accounts: Accounts) -> None:
        self._settings, self._accounts = settings, accounts
        self._calendars = _calendars(settings)
        self._known: dict[str, MarketHours] = {}

    async def load(self) -> None:
        """Make the calendars now, since the first of them takes a second that no order should wait for."""
        for broker in self._settings.brokers:
            await self._of(self._settings.calendar_for(broker))

    async def gateway(self, account_id: int) -> OrderGateway:
        return await self._accounts.gateway(account_id)

    async def hours(self, account_id: int) -> MarketHours:
        return await self._of(self._settings.calendar_for(await self._accounts.broker(account_id)))

    async def _of(self, name: str) -> MarketHours:
        if name not in self._known:
            self._known[name] = await self._made(name)
        return self._known[name]

    async def _made(self, name: str) -> MarketHours:
        if name != "XNSE":
            return ALWAYS_OPEN
        calendar = await self._calendars.get("XNSE")
        remembered = _remembered(calendar.sessions, time.monotonic)
        await asyncio.to_thread(remembered, date.today())  # noqa: DTZ011 - any day will do
        return MarketHours(remembered, self._settings.zone, self._settings.mis_cutoff)


def _remembered(
    sessions: Callable[[date], Sequence[SessionHours]], clock: Callable[[], float]
) -> Callable[[date], Sequence[SessionHours]]:
    """The same, asked again for a day only when the answer is older than `_LASTS_S`."""
    known: dict[date, tuple[float, Sequence[SessionHours]]] = {}

    def of(day: date) -> Sequence[SessionHours]:
        now = clock()
        asked_at, found = known.get(day, (0.0, ()))
        if day not in known or now - asked_at > _LASTS_S:
            found = sessions(day)
            known[day] = now, found
        return found

    return of


def _calendars(settings: Settings) -> TradingCalendars:
    """A file that breaks after the API has started with it must not keep exits from leaving."""
    try:
        return TradingCalendars(settings.calendar_overrides)
    except InvalidOverrides as error:
        log.error("calendar_overrides_broken", path=str(settings.calendar_overrides), reason=str(error))  # noqa: TRY400
        return TradingCalendars()
