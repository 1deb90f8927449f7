"""What runs inside the few Ray processes that hold connections to databases and brokers. Made in a running loop."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

import structlog

from actors import failpoints
from actors.domain.identifiers import IntentId
from actors.domain.orders.cover import Cover
from actors.domain.orders.order import OrderReport
from actors.domain.prices.stop_loss import Tick
from actors.domain.session import LateExit
from actors.domain.strategy.events import Event
from actors.execution.shell import ExecutionActor
from actors.ports import (
    Attempt,
    BrokerUnavailable,
    EntryRefused,
    ExecutionStreams,
    FeedStatus,
    GuardAnswer,
    GuardDisplay,
    Holding,
    JournalEntry,
    LoadedRun,
    OrderCommand,
    OrderNote,
    PeerUnavailable,
    StaleEpoch,
)
from actors.runtime import names, ray_ports
from actors.runtime.clients import bootstrap, journal_mapping
from actors.runtime.clients.trading_hours import Markets
from actors.runtime.clients.update_streams import UpdateFollower
from actors.runtime.clock import SystemClock
from actors.runtime.hosts.process import tune
from actors.runtime.names import Pools
from actors.runtime.plane import link_ports
from actors.runtime.plane.feed_link import LinkedFeedTicks
from actors.runtime.plane.link import Invitation
from actors.runtime.plane.orders import OrderDoor
from persistence import errors
from persistence.journal.records import LogRecord

log = structlog.get_logger(__name__)

T = TypeVar("T")

_RECORD_RETRY_S = 1.0

_GUARDS_EVERY_S, _GUARDS_PAUSE_S = 3.0, 0.2
"""How often the guards are shown, and how long after a change: an order may be leaving, or fifty arm their stops."""


class LedgerHost:
    """The Ray actor `ledger:{n}`: every PostgreSQL and mirror write of its strategies, and their alerts.

    A call that PostgreSQL did not answer raises `PeerUnavailable`: the strategy keeps the entry and records it again.
    """

    def __init__(self) -> None:
        settings = bootstrap.process_settings()
        tune(background=True)
        self._ledger, self._mirror = bootstrap.open_ledger(settings)
        self._ended = bootstrap.ended_runs(settings)
        self._zone = settings.zone
        self._late_exit = LateExit(settings.late_exit)
        self._missed_grace = timedelta(seconds=settings.missed_grace_s)
        self._unmirrored: dict[int, bool] = {}
        self._repair: asyncio.Task[None] | None = None
        import apprise  # execution starts without it, and a position waits for that

        self._notifier = apprise.Apprise()
        for url in settings.alert_urls:
            self._notifier.add(url.get_secret_value())

    async def load(self, run_id: int) -> LoadedRun | None:
        """See `Journal.load`."""
        try:
            record = await _answered(self._ledger.load_run(run_id))
        except errors.RunNotOpen:
            return None
        return journal_mapping.loaded_run(record, self._zone, self._late_exit, self._missed_grace)

    async def record(self, entry: JournalEntry) -> None:
        """See `Journal.record`."""
        strategy_id = entry.state.run.strategy_id
        failpoints.hit("record.before", strategy_id)
        update = journal_mapping.run_update(entry)
        try:
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
        """See `AttemptLog.log_attempt`: kept and tried again until PostgreSQL has it."""
        await self._append(attempt.command, journal_mapping.attempt_line(attempt))

    async def log_note(self, note: OrderNote) -> None:
        """See `AttemptLog.log_note`: kept and tried again until PostgreSQL has it."""
        await self._append(note.command, journal_mapping.note_line(note))

    async def _append(self, command: OrderCommand, line: LogRecord) -> None:
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

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        """Log the alert, and send it to the operator's ALERT_URLS."""
        await self._tell(code, message, user_id=user_id, strategy_id=strategy_id)

    async def _tell(self, code: str, message: str, **about: int) -> None:
        log.warning("alert", code=code, message=message, **about)
        if len(self._notifier):
            named = ", ".join(f"{name} {value}" for name, value in about.items())
            sent = await self._notifier.async_notify(body=message, title=f"TradeActors: {code} {named}".strip())
            if not sent:
                log.error("alert.not_delivered", code=code, **about)

    async def show_price(self, broker: str, symbol: str, tick: Tick, status: FeedStatus) -> None:
        """See `PriceMirror.show_price`. What Redis does not take is replaced by the next tick."""
        with contextlib.suppress(errors.MirrorUnavailable):
            stamps = (tick.exchange_time, tick.received_at)
            await self._mirror.put_price(symbol, tick.price, *stamps, broker=broker, feed=bootstrap.feed_state(status))

    async def show_feed(self, broker: str, symbol: str, status: FeedStatus) -> None:
        """See `PriceMirror.show_feed`."""
        with contextlib.suppress(errors.MirrorUnavailable):
            await self._mirror.put_feed(symbol, bootstrap.feed_state(status), broker=broker)

    async def load_ended(self, run_id: int) -> LoadedRun | None:
        """A run that has ended, as its last actor left it; None if there is none, or its account was disconnected."""
        try:
            record = await _answered(self._ended.load(run_id))
        except errors.RunNotOpen:
            return None
        return journal_mapping.loaded_run(record, self._zone, self._late_exit, self._missed_grace)

    async def reopen(self, entry: JournalEntry) -> bool:
        """Open an ended run again in this state; whether it was still the strategy's last."""
        update = journal_mapping.run_update(entry)
        try:
            await _answered(self._ended.reopen(update))
            await self._ledger.mirror_again(update.run_id, delete=False)
        except errors.RunNotOpen:
            return False
        except errors.MirrorUnavailable:
            log.warning("reopened_without_mirror", run_id=update.run_id)  # the actor's first record writes it
        return True

    async def open_runs(self) -> list[tuple[int, int]]:
        """(run_id, strategy_id) of every run that should be alive."""
        return await _answered(self._ledger.running_runs())

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


class ExecutionHost:
    """The Ray actor `execution:{n}`."""

    def __init__(self, pools: Pools) -> None:
        settings = bootstrap.process_settings()
        tune()
        claims, ledger = bootstrap.open_claims(settings, ray_ports.own_name())
        self._pulse = asyncio.create_task(claims.pulse.beat())
        self._lease = asyncio.create_task(claims.lease.keep())
        peers, accounts = ray_ports.Peers(), bootstrap.Accounts(settings, ledger)
        self._door = OrderDoor(ray_ports.own_node(), ray_ports.own_host(), self.execute)
        self._records = bootstrap.JournalRecords(ledger)
        markets = Markets(settings, accounts)
        self._calendar_loading = asyncio.create_task(markets.load())
        self._execution = ExecutionActor(
            gateways=markets,
            claims=claims,
            strategies=link_ports.LinkedStrategyEvents(self._door, peers),
            attempts=ray_ports.RayAttemptLog(peers, pools),
            records=self._records,
            streams=ExecutionStreams(
                UpdateFollower(accounts, reread_s=accounts.reread_s), LinkedFeedTicks(peers, pools)
            ),
            clock=SystemClock(),
            limits=bootstrap.execution_limits(settings),
        )
        self._hearing = asyncio.create_task(self._execution.stops.keep_hearing())
        self._rehearsing = asyncio.create_task(self._execution.rehearsal.live())
        self._watching = asyncio.create_task(self._watch_again(pools))
        self._showing = asyncio.create_task(self._keep_showing(bootstrap.GuardsInMirror(claims.mirror)))

    async def _keep_showing(self, display: GuardDisplay) -> None:
        """Who guards what, as soon as it changes and every few seconds."""
        while True:
            await link_ports.every_second_or_when(self._execution.stops.changed, _GUARDS_EVERY_S)
            await asyncio.sleep(_GUARDS_PAUSE_S)
            await display.show_guards(self._execution.stops.shown())

    async def _watch_again(self, pools: Pools) -> None:
        """Execution that restarts knows of no account; those of today are watched whether anybody uses them or not."""
        while True:
            try:
                accounts = await self._records.accounts_in_use()
            except PeerUnavailable as error:
                log.warning("execution.accounts_unknown", reason=str(error))
                await asyncio.sleep(_RECORD_RETRY_S)
            else:
                own = ray_ports.own_name()
                mine = [account for account in accounts if names.execution_name(account, pools) == own]
                return await self._execution.watch_again(mine)

    async def invite(self, strategy_id: int, node: str) -> Invitation | None:
        """A link for the orders of a strategy that runs on this node; None if there is no way to make one."""
        return link_ports.invitation(self._door.invite, str(strategy_id), node)

    async def execute(self, command: OrderCommand) -> Event:
        """See `OrderDesk.execute`."""
        return await self._execution.execute(command)

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        """See `OrderDesk.cancel`."""
        await _proven(self._execution.cancel(account_id, intent_id, order_id))

    async def withdraw(self, _account_id: int, intent_id: IntentId) -> None:
        """See `OrderDesk.withdraw`."""
        self._execution.withdraw(intent_id)

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        """See `OrderDesk.orders_by_tag`."""
        return await _proven(self._execution.orders_by_tag(account_id, tags))

    async def probe(self, account_id: int) -> bool:
        """See `OrderDesk.probe`."""
        return await self._execution.probe(account_id)

    async def cover(self, holding: Holding) -> Cover:
        """See `OrderDesk.cover`."""
        return await _proven(self._execution.cover(holding))

    async def guard(self, holding: Holding) -> GuardAnswer:
        """See `OrderDesk.guard`."""
        return await _proven(self._execution.guard(holding))

    async def process_id(self) -> int:
        """The pid of this actor's process."""
        return os.getpid()


async def _proven(call: Awaitable[T]) -> T:
    try:
        return await call
    except BrokerUnavailable as error:
        raise PeerUnavailable(str(error)) from error
