"""The Ray actor of the journal: a pool, of which a strategy always has the same member. Made in a running loop."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from actors import failpoints
from actors.domain.prices.tick import Tick
from actors.domain.session import LateExit
from actors.ports.common import EntryRefused, PeerUnavailable, StaleEpoch
from actors.ports.execution import Attempt, OrderNote
from actors.ports.prices import FeedStatus
from actors.ports.strategy import JournalEntry, LoadedRun, OrderCommand
from actors.runtime.clients import connections, journal_mapping
from actors.runtime.clients.ledger_figures import LedgerFigures
from actors.runtime.hosts.process_tuning import Niceness, tune
from actors.runtime.peers import own_host, own_name, own_node
from persistence import errors
from persistence.journal.alert_notices import alert_notice
from persistence.journal.records import LogRecord, RunUpdate
from persistence.mirror.presence import keep_present

log = structlog.get_logger(__name__)

T = TypeVar("T")

_RECORD_RETRY_S = 1.0


class Ledger:
    """The Ray actor `ledger:{n}`: every PostgreSQL and mirror write of its strategies, and their alerts.

    A call that PostgreSQL did not answer raises `PeerUnavailable`: the strategy keeps the entry and records it again.
    """

    def __init__(self) -> None:
        settings = connections.process_settings()
        tune(Niceness.STRATEGY)
        self._ledger, self._mirror = connections.open_ledger(settings)
        self._ended, self._alerts = connections.seldom_used(settings)
        self._notifying = asyncio.Lock()
        self._zone = settings.zone
        self._late_exit = LateExit(settings.late_exit)
        self._missed_grace = timedelta(seconds=settings.missed_grace_s)
        self._unmirrored: dict[int, bool] = {}
        self._repair: asyncio.Task[None] | None = None
        self._figures = figures = LedgerFigures(unmirrored=lambda: len(self._unmirrored))
        self._present = asyncio.create_task(
            keep_present(self._mirror, own_name(), own_host(), os.getpid(), own_node(), figures.figures)
        )
        import apprise  # execution starts without it, and a position waits for that

        self._notifier = apprise.Apprise()
        for url in settings.alert_urls:
            self._notifier.add(url.get_secret_value())

    async def load(self, run_id: int) -> LoadedRun | None:
        try:
            record = await _answered(self._ledger.load_run(run_id))
        except errors.RunNotOpen:
            return None
        self._figures.loaded(record.epoch)
        return journal_mapping.loaded_run(record, self._zone, self._late_exit, self._missed_grace)

    async def record(self, entry: JournalEntry) -> None:
        strategy_id = entry.state.run.strategy_id
        failpoints.hit("record.before", strategy_id)
        update = journal_mapping.run_update(entry)
        try:
            with self._figures.recording():
                mirrored = await _answered(self._ledger.record(update))
        except errors.StaleEpoch as error:
            raise StaleEpoch(str(error)) from error
        except (errors.RecordRefused, errors.ConstraintViolated) as error:
            raise EntryRefused(str(error)) from error
        failpoints.hit("record.after", strategy_id)
        if not mirrored:
            self._unmirrored[update.run_id] = update.ended and update.delete_mirror
            if self._repair is None or self._repair.done():
                self._repair = asyncio.create_task(self._repair_mirror())

    async def _repair_mirror(self) -> None:
        """Redis is down: say so, and write what it missed when it is back (row J3)."""
        await self._tell("redis_down", "Redis does not answer: no new orders are taken on, protective exits go out")
        while self._unmirrored:
            await asyncio.sleep(_RECORD_RETRY_S)
            run_id, delete = next(iter(self._unmirrored.items()))
            try:
                await self._ledger.mirror_again(run_id, delete=delete)
            except (errors.MirrorUnavailable, errors.DatabaseUnavailable):
                continue
            self._unmirrored.pop(run_id, None)
        await self._tell("redis_restored", "Redis answers again and shows everything")

    async def log_attempt(self, attempt: Attempt) -> None:
        """Record an attempt in the order log; it is kept in memory and tried again until PostgreSQL has it."""
        self._figures.attempted(attempt)
        log.info("order.attempt", **journal_mapping.attempt_about(attempt))
        await self._append(attempt.command, journal_mapping.attempt_line(attempt))

    async def log_note(self, note: OrderNote) -> None:
        """Record what else was done about an order; it is kept and tried again until PostgreSQL has it."""
        log.info("order.note", kind=str(note.event), **journal_mapping.command_about(note.command, note.order_id))
        await self._append(note.command, journal_mapping.note_line(note))

    async def _append(self, command: OrderCommand, line: LogRecord) -> None:
        with self._figures.waiting():
            await self._append_until_taken(command, line)

    async def _append_until_taken(self, command: OrderCommand, line: LogRecord) -> None:
        while True:
            try:
                await self._ledger.append_log(command.user_id, command.strategy_id, command.run_id, line)
            except errors.DatabaseUnavailable:
                await asyncio.sleep(_RECORD_RETRY_S)
            except (errors.RecordRefused, errors.ConstraintViolated):
                about = {"strategy_id": command.strategy_id, "run_id": command.run_id, "order_id": line.order_id}
                log.exception("log_line_lost", kind=line.event, **about)
                return
            else:
                return

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str, about: str = "") -> None:
        """Log the alert, send it to the operator's ALERT_URLS, and notify its user unless a recorded step does."""
        notice = alert_notice(strategy_id, code, message, datetime.now(UTC), about)
        telling = self._tell(code, message, user_id=user_id, strategy_id=strategy_id)
        if notice is None or not user_id:
            await telling
            return
        noted = self._notify(partial(self._alerts.raised, user_id, code, notice), code, user_id, strategy_id)
        await asyncio.gather(noted, telling)

    async def alert_over(self, user_id: int, strategy_id: int, codes: Sequence[str], about: str = "") -> None:
        """What alerts of these codes said is over: notify their user, if he was notified of them."""
        log.info("alert_over", codes=list(codes), user_id=user_id, strategy_id=strategy_id)
        about = about or f"strategy:{strategy_id}"
        write = partial(self._alerts.over, user_id, codes, about, datetime.now(UTC))
        await self._notify(write, ", ".join(codes), user_id, strategy_id)

    async def _notify(self, write: Callable[[], Awaitable[None]], code: str, user_id: int, strategy_id: int) -> None:
        """One after the other, as they came: that a trouble is over must not be written before the trouble."""
        async with self._notifying:
            while True:
                try:
                    await write()
                except errors.DatabaseUnavailable:
                    await asyncio.sleep(_RECORD_RETRY_S)
                except (errors.RecordRefused, errors.ConstraintViolated):
                    log.exception("notice_lost", code=code, user_id=user_id, strategy_id=strategy_id)
                    return
                else:
                    return

    async def _tell(self, code: str, message: str, **about: int) -> None:
        self._figures.alerted(code)
        log.warning("alert", code=code, message=message, **about)
        if len(self._notifier):
            named = ", ".join(f"{name} {value}" for name, value in about.items())
            sent = await self._notifier.async_notify(body=message, title=f"TradeActors: {code} {named}".strip())
            if not sent:
                log.error("alert.not_delivered", code=code, **about)

    async def show_price(self, broker: str, symbol: str, tick: Tick, status: FeedStatus) -> None:
        """Show the latest price in Redis (row F4). What Redis does not take is replaced by the next tick."""
        with contextlib.suppress(errors.MirrorUnavailable):
            stamps = (tick.exchange_time, tick.received_at)
            await self._mirror.put_price(
                symbol,
                tick.price,
                *stamps,
                broker=broker,
                feed=connections.feed_state(status),
                extremes=(tick.low, tick.high),
            )

    async def show_feed(self, broker: str, symbol: str, status: FeedStatus) -> None:
        with contextlib.suppress(errors.MirrorUnavailable):
            await self._mirror.put_feed(symbol, connections.feed_state(status), broker=broker)

    async def load_ended(self, run_id: int) -> LoadedRun | None:
        """A run that has ended, as its last actor left it; None if there is none, or its account was disconnected."""
        try:
            record = await _answered(self._ended.load(run_id))
        except errors.RunNotOpen:
            return None
        return journal_mapping.loaded_run(record, self._zone, self._late_exit, self._missed_grace)

    async def reopen(self, entry: JournalEntry) -> bool:
        """Open an ended run again in this state; whether it was still the strategy's last."""
        return await self._changed(entry, self._ended.reopen)

    async def amend(self, entry: JournalEntry) -> bool:
        """Record what has come to be known of an ended run; whether it still was as it had been loaded."""
        return await self._changed(entry, self._ended.amend)

    async def _changed(self, entry: JournalEntry, change: Callable[[RunUpdate], Awaitable[None]]) -> bool:
        update = journal_mapping.run_update(entry)
        try:
            await _answered(change(update))
            await self._ledger.mirror_again(update.run_id, delete=False)
        except errors.RunNotOpen:
            return False
        except errors.MirrorUnavailable:  # of a run that is open, the actor's first record writes it
            log.warning("changed_without_mirror", run_id=update.run_id)
        return True

    async def open_runs(self, strategy_id: int | None = None) -> list[tuple[int, int]]:
        """(run_id, strategy_id) of every run that should be alive, or of one strategy's."""
        return await _answered(self._ledger.running_runs(strategy_id))

    async def open_run_labels(self) -> dict[int, str]:
        """What engineers find the actor of each open run by, by the run's id."""
        return await _answered(self._ledger.running_labels())

    async def ensure_mirror(self) -> None:
        """Rebuild the mirror if Redis has lost its keys (rows J1, J3); with Redis down, a later sweep does."""
        try:
            await _answered(self._ledger.ensure_mirror())
        except PeerUnavailable as error:
            log.warning("mirror_not_checked", reason=str(error))

    async def process_id(self) -> int:
        """The pid of this actor's process."""
        return os.getpid()


async def _answered(call: Awaitable[T]) -> T:
    try:
        return await call
    except (errors.DatabaseUnavailable, errors.MirrorUnavailable) as error:
        raise PeerUnavailable(str(error)) from error
