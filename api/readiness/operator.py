"""The parts that all trades need: the operator hears once what is wrong, traders in one sentence (row N3)."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta
from typing import Any

import structlog

from actors.domain.orders.order_address import Standing, alarm, doubt, of_all
from actors.ports.engine import StrategyEngine
from api.readiness.findings import Fault
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.readiness import OperatorFaults
from persistence.errors import MirrorUnavailable, PersistenceError
from persistence.mirror.mirror import RuntimeMirror
from persistence.notifications.deliveries import database_now

log = structlog.stdlib.get_logger(__name__)

PART_TIMEOUT_S = 4.0
"""How long a part has to answer, twice: on a busy machine an answer may be late, and is no fault."""

FEED_FROM, FEED_UNTIL = time(8, 45), time(15, 30)
"""When a real broker's price stream is to be up, on weekdays: before the morning's first login it cannot be."""

CLOCK_DIFFERS = timedelta(seconds=1)
"""By how much the clock here may differ from the database's: a second is the least that a buy time is about."""

LEAST_ROOM_BYTES = 200_000_000
"""How much room DATA_DIR must have: as `tradeactors doctor` says."""

FRESH = timedelta(seconds=15)
"""How long what was found of the parts holds, however many users' days are looked at."""

OVER_AFTER = timedelta(minutes=3)
"""How long no process may have seen a fault before it is over: each looks every minute."""

ADDRESS = "readiness_address"
GATEWAY = "readiness_gateway"

FAULTS = {
    "readiness_redis": "Redis does not answer: no new orders are taken on",
    "readiness_engine": "Ray or the engine does not answer: no strategy can be started or stopped",
    GATEWAY: "An execution actor does not answer: no order of its accounts leaves",
    "readiness_clock": "The clock of this machine and that of the database differ by more than a second",
    "readiness_disk": "Less than 200 MB are free on the disk of DATA_DIR",
    "readiness_feed": "A broker's price stream is down: stop-losses are not decided by it",
    ADDRESS: "Orders leave from an address that ORDER_ADDRESSES does not have, and the broker refuses them",
}
"""What the operator reads, by the alert's code. Of addresses he reads which, as long as the fault is there."""

_SATURDAY = 5
_BLOCKING = frozenset({"readiness_redis", "readiness_engine"})


class OperatorChecks:
    """Looks at the parts, and tells the operator what has changed."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        mirror: RuntimeMirror,
        engine: StrategyEngine,
        now: Callable[[], datetime],
    ) -> None:
        self._settings, self._sessions, self._mirror = settings, sessions, mirror
        self._engine, self._now = engine, now
        self._found: tuple[datetime, tuple[Fault, ...]] | None = None
        self._looking = asyncio.Lock()

    async def faults(self) -> tuple[Fault, ...]:
        """What is wrong now, or was some seconds ago. Never fails."""
        async with self._looking:
            now = self._now()
            if self._found is None or not timedelta(0) <= now - self._found[0] < FRESH:
                self._found = (now, await self._look())
            return self._found[1]

    async def tell_changes(self) -> None:
        """Tell the operator of each fault when it begins, again while it lasts (`ALERT_REPEAT_MINUTES`), and when it
        ends: one process tells, once.

        Raises:
            PersistenceError: without the database no process knows what was said before; the next time says it.
        """
        seen = {fault.code: fault for fault in await self.faults()}
        repeat = timedelta(minutes=self._settings.alert_repeat_minutes)
        for code, sentence in FAULTS.items():
            fault = seen.get(code)
            async with transaction(self._sessions) as session:
                faults = OperatorFaults(session)
                if fault is None:
                    changed = await faults.end(code, OVER_AFTER)
                else:  # one that is held was not seen, so that a process that sees it gone can end it
                    changed = not fault.held and await faults.begin(code)
                goes_on = fault is not None and not changed and repeat and await faults.again(code, repeat)
            if fault is not None and goes_on:
                await self.alert(code, f"It goes on: {fault.sentence}")
            elif fault is not None and changed:
                await self.alert(code, fault.sentence)
            elif changed:
                await self.alert("readiness_restored", f"It is over: {sentence}")

    async def alert(self, code: str, message: str) -> None:
        """Log it, and send it to ALERT_URLS."""
        log.warning("alert", code=code, message=message)
        if self._settings.alert_urls:
            notifier = await asyncio.to_thread(self._notifier)
            if not await notifier.async_notify(body=message, title=f"TradeActors: {code}"):
                log.error("alert.not_delivered", code=code)

    def _notifier(self) -> Any:
        import apprise  # takes a second, and most processes never need it

        notifier = apprise.Apprise()
        for url in self._settings.alert_urls:
            notifier.add(url.get_secret_value())
        return notifier

    async def _look(self) -> tuple[Fault, ...]:
        parts = {
            "readiness_redis": self._answers(self._mirror.ping),
            "readiness_engine": self._answers(self._engine.health),
            "readiness_clock": self._clock_is_right(),
            "readiness_disk": asyncio.to_thread(self._has_room),
            "readiness_feed": self._feeds_are_up(),
        }
        of_address, of_gateways, well = await asyncio.gather(
            self._address(), self._gateways(), asyncio.gather(*parts.values())
        )
        return (
            *of_gateways,
            *(Fault(code, FAULTS[code], code in _BLOCKING) for code, good in zip(parts, well, strict=True) if not good),
            *of_address,
        )

    async def _gateways(self) -> tuple[Fault, ...]:
        """Whether orders can leave. Where some places of them do not answer, the accounts of the others trade."""
        for _ in range(2):
            silent, places = await self._engine.silent_gateways()
            if not silent:
                return ()
        sentence = f"{FAULTS[GATEWAY]} ({', '.join(silent)})"
        return (Fault(GATEWAY, sentence, blocks=len(silent) == places),)

    async def _address(self) -> tuple[Fault, ...]:
        """Whether orders leave from an address that is not registered (kite.md §4.7).

        An address that cannot be found out is neither good nor bad: what was known before holds.
        """
        registered = self._settings.order_addresses
        if not registered or "kite" not in self._settings.brokers:
            return ()
        seen = await self._engine.order_addresses()
        match of_all(registered, seen):
            case Standing.OTHER:
                return (Fault(ADDRESS, alarm(registered, seen), blocks=True, of_address=True),)
            case Standing.UNKNOWN:
                log.info("order_address_unknown", reason=doubt(seen))
                if await self._lasts(ADDRESS):
                    return (Fault(ADDRESS, doubt(seen), blocks=True, of_address=True, held=True),)
        return ()

    async def _lasts(self, code: str) -> bool:
        """Whether any process has seen the fault, and none that it is over; False without the database."""
        try:
            async with transaction(self._sessions) as session:
                return await OperatorFaults(session).lasts(code)
        except PersistenceError:
            return False

    async def _answers(self, ask: Callable[[], Awaitable[object]]) -> bool:
        for _ in range(2):
            try:
                async with asyncio.timeout(PART_TIMEOUT_S):
                    await ask()
            except Exception as error:  # noqa: BLE001 - any fault of a part is what is looked for
                log.info("part_does_not_answer", error=type(error).__name__)
            else:
                return True
        return False

    async def _clock_is_right(self) -> bool:
        """True as well where the database does not answer: nothing is known of its clock then."""
        try:
            async with transaction(self._sessions) as session:
                before = datetime.now(self._settings.zone)
                theirs = await database_now(session)
                after = datetime.now(self._settings.zone)
        except PersistenceError:
            return True
        return before - CLOCK_DIFFERS <= theirs <= after + CLOCK_DIFFERS

    def _has_room(self) -> bool:
        """True as well where nothing of the stack is on this machine."""
        try:
            return shutil.disk_usage(self._settings.data_dir).free >= LEAST_ROOM_BYTES
        except OSError:
            return True

    async def _feeds_are_up(self) -> bool:
        try:
            local = self._now().astimezone(self._settings.zone)
            streams = await self._mirror.get_streams([b for b in self._settings.brokers if feed_is_due(b, local)])
        except MirrorUnavailable:
            return True  # which is a fault of its own
        words = [[word for name, word in stream.items() if name.endswith(".feed")] for stream in streams]
        return not any(stream and all(word == "down" for word in stream) for stream in words)


def feed_is_due(broker: str, local: datetime) -> bool:
    """Whether a broker's price stream is to be up; `local` is in the exchange's zone. Holidays are not known here."""
    return broker == "paper" or (local.weekday() < _SATURDAY and FEED_FROM <= local.time() < FEED_UNTIL)
