"""The watcher of one account: compares its order book, its positions and our intents (design §4.8, reliability B31).

One reading per account and interval, however many strategies hold something there. It never trades: a strategy whose
shares are gone is told, a missing share makes exits ask before they sell, everything else is an alert.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from actors import order_audit
from actors.account_desk import AccountDesk
from actors.domain.events import PositionClosedOutside
from actors.domain.identifiers import Product
from actors.domain.order import OrderReport
from actors.domain.partly_read import is_unread
from actors.order_audit import Account, Finding
from actors.ports import (
    AccountRecords,
    AttemptLog,
    BrokerUnavailable,
    Clock,
    Holding,
    KnownIntent,
    PeerUnavailable,
    PositionKey,
    StrategyEvents,
    position_key,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """How often an account is compared. `confirm_after`: when a first suspicion is looked at again."""

    interval: timedelta = timedelta(seconds=2)
    confirm_after: timedelta = timedelta(milliseconds=500)
    closed_after: timedelta = timedelta(seconds=3)
    """How long a position must be empty before its run is ended: it may lag behind fills. Exits ask meanwhile."""
    settles_within: timedelta = timedelta(seconds=4)
    """What a run has just bought may not be in the positions yet."""
    idle_interval: timedelta = timedelta(seconds=30)
    retire_after: timedelta = timedelta(minutes=10)
    """An account that nobody has used for so long is watched no more, until it is used again."""
    intents_last: timedelta = timedelta(seconds=10)
    """How long what the journal said of the account's intents is taken to be all of them."""
    holding_lasts: timedelta = timedelta(seconds=15)
    """A strategy that has not renewed its holding for so long does not guard it."""
    unguarded_after: timedelta = timedelta(seconds=20)
    """A strategy that restarts is without a guard for a moment; for longer is an alert."""
    keep_warm: timedelta = timedelta(seconds=25)
    unreadable_after: timedelta = timedelta(seconds=10)


class AccountWatch:
    """Give it holdings with `guard`, and run `live()` as a task."""

    def __init__(
        self,
        account_id: int,
        desk: AccountDesk,
        *,
        working: Callable[[], frozenset[int]],
        records: AccountRecords,
        strategies: StrategyEvents,
        attempts: AttemptLog,
        clock: Clock,
        limits: WatchLimits,
    ) -> None:
        self._account_id, self._desk, self._working = account_id, desk, working
        self._records, self._strategies, self._attempts = records, strategies, attempts
        self._clock, self._limits = clock, limits
        self._holdings: dict[int, tuple[Holding, datetime]] = {}
        self._changed_at: dict[int, datetime] = {}
        self._exited: set[int] = set()
        self._suspected: dict[Finding, datetime] = {}
        self._told: set[Finding] = set()
        self._unreadable_since: datetime | None = None
        self._unreadable_told = False
        self._look_now = asyncio.Event()
        self._known: tuple[KnownIntent, ...] = ()
        self._known_at: datetime | None = None
        self._used_at = self._warmed_at = clock.now()

    def used(self) -> None:
        """Somebody uses the account."""
        self._used_at = self._clock.now()

    def guard(self, holding: Holding) -> None:
        """Take in what a run holds; an older incarnation cannot take back what a newer one says."""
        known = self._holdings.get(holding.strategy_id)
        if known is not None and (known[0].run_id, known[0].epoch) > (holding.run_id, holding.epoch):
            return
        if known is None or known[0].quantity != holding.quantity:
            self._changed_at[holding.strategy_id] = self._clock.now()
        if holding.quantity <= 0:
            self._holdings.pop(holding.strategy_id, None)
            self._changed_at.pop(holding.strategy_id, None)
            self._exited.discard(holding.run_id)
            return
        self._holdings[holding.strategy_id] = (holding, self._clock.now())
        if known is None:
            self._look_now.set()

    def exit_sent(self, run_id: int) -> None:
        """The run has sent an exit: from here on its own orders say what became of its position."""
        self._exited.add(run_id)

    def take_update(self, report: OrderReport) -> None:
        """An order of the account has news. One that is not ours may have sold what is ours: compare at once."""
        ours = {intent.tag for intent in self._known}
        if report.filled_quantity and report.tag not in ours:
            self._look_now.set()

    async def live(self) -> None:
        """Compare until nobody has used the account for long."""
        limits = self._limits
        while self._holdings or self._working() or self._clock.now() - self._used_at < limits.retire_after:
            self._look_now.clear()
            try:
                await self._compare()
            except BrokerUnavailable as error:
                self._cannot_read(str(error))
            except Exception as error:  # noqa: BLE001 - whatever broke in one round, the account stays watched
                self._cannot_read(repr(error))
            await asyncio.sleep(limits.confirm_after.total_seconds())
            if not set(self._suspected) - self._told:
                pause = (limits.interval if self._holdings else limits.idle_interval) - limits.confirm_after
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._look_now.wait(), pause.total_seconds())

    async def _known_intents(self) -> tuple[KnownIntent, ...]:
        """What the journal knows; with the journal down, what it knew."""
        now = self._clock.now()
        if self._known_at is None or now - self._known_at >= self._limits.intents_last:
            try:
                self._known = tuple(await self._records.known_intents(self._account_id))
                self._known_at = now
            except PeerUnavailable as error:
                log.warning("watch.journal_silent", account_id=self._account_id, reason=str(error))
        return self._known

    async def _compare(self) -> None:
        known = await self._known_intents()
        working, moving = self._working(), self._moving()
        holdings = self._present_holdings()
        book = await self._desk.read_book()
        demat = any(holding.product is Product.CNC for holding in holdings)
        held = await self._desk.gateway.net_quantities(demat=demat)
        await self._keep_warm()
        self._can_read()
        # what moved while we read is judged in the next round, and what could not be read is not judged at all
        moving, working = moving | self._moving(), working | self._working()
        moving |= {key for key in map(_key, holdings) if is_unread(held, key)}
        account = Account(book, held, holdings, known, moving, working, frozenset(self._exited))
        self._forget_the_settled(account)
        await self._judge(order_audit.audit(account))

    async def _keep_warm(self) -> None:
        """Our own reads use the session that was used last; an order that comes with others needs more of them."""
        now = self._clock.now()
        if self._holdings and now - self._warmed_at >= self._limits.keep_warm:
            self._warmed_at = now
            await self._desk.gateway.keep_warm()

    def _present_holdings(self) -> list[Holding]:
        oldest = self._clock.now() - self._limits.holding_lasts
        return [holding for holding, at in self._holdings.values() if at >= oldest]

    def _moving(self) -> frozenset[PositionKey]:
        settled = self._clock.now() - self._limits.settles_within
        found = set()
        for strategy_id, (holding, _) in self._holdings.items():
            key = position_key(holding.instrument, holding.product)
            if self._desk.shares.moving(key) or self._changed_at[strategy_id] > settled:
                found.add(key)
        return frozenset(found)

    def _forget_the_settled(self, account: Account) -> None:
        """Shares are missing no longer, or nobody holds any: exits need not ask."""
        expected: dict[PositionKey, int] = {}
        for holding in account.holdings:
            key = position_key(holding.instrument, holding.product)
            expected[key] = expected.get(key, 0) + holding.quantity
        enough = {key for key in self._desk.in_doubt if account.held.get(key, 0) >= expected.get(key, 0)}
        self._desk.in_doubt -= enough
        open_runs = {holding.run_id for holding, _ in self._holdings.values()}
        self._exited &= open_runs | set(account.working)

    async def _judge(self, findings: list[Finding]) -> None:
        now = self._clock.now()
        since = {finding: self._suspected.get(finding, now) for finding in findings}
        for finding, first_seen in since.items():
            self._suspect(finding)
            if now - first_seen >= self._patience(finding):
                await self._act(finding)
        self._suspected = since
        self._told &= set(findings)

    def _patience(self, finding: Finding) -> timedelta:
        match finding:
            case order_audit.UnguardedPosition():
                return self._limits.unguarded_after
            case order_audit.ClosedOutside():
                return self._limits.closed_after
        return self._limits.confirm_after

    def _suspect(self, finding: Finding) -> None:
        """Even an unconfirmed lack of shares makes exits ask before they sell."""
        match finding:
            case order_audit.SharesMissing(key=key) | order_audit.PositionShort(key=key):
                self._desk.in_doubt.add(key)
            case order_audit.ClosedOutside(strategy_id) if strategy_id in self._holdings:
                holding, _ = self._holdings[strategy_id]
                self._desk.in_doubt.add(position_key(holding.instrument, holding.product))

    async def _act(self, finding: Finding) -> None:
        if isinstance(finding, order_audit.ClosedOutside):
            await self._tell_closed(finding)
        if finding in self._told:
            return
        self._told.add(finding)
        code, message = _alert(finding)
        self._attempts.alert(finding.user_id, finding.strategy_id, code, message)

    async def _tell_closed(self, finding: order_audit.ClosedOutside) -> None:
        reason = f"the account holds no {finding.symbol} any more: sold by hand or squared off by the broker"
        try:
            await self._strategies.report(finding.strategy_id, PositionClosedOutside(reason))
        except PeerUnavailable as error:  # it is restarting; the next round tells it again
            log.warning("watch.strategy_not_told", strategy_id=finding.strategy_id, reason=str(error))

    def _cannot_read(self, reason: str) -> None:
        now = self._clock.now()
        self._unreadable_since = self._unreadable_since or now
        log.warning("watch.account_unreadable", account_id=self._account_id, reason=reason)
        if (
            not self._unreadable_told
            and self._holdings
            and now - self._unreadable_since >= self._limits.unreadable_after
        ):
            self._unreadable_told = True
            message = f"The account cannot be compared with its positions: {reason}"
            for holding, _ in self._holdings.values():
                self._attempts.alert(holding.user_id, holding.strategy_id, "account_unreadable", message)

    def _can_read(self) -> None:
        self._unreadable_since, self._unreadable_told = None, False


def _key(holding: Holding) -> PositionKey:
    return position_key(holding.instrument, holding.product)


def _alert(finding: Finding) -> tuple[str, str]:
    match finding:
        case order_audit.DuplicateOrders(tag=tag, order_ids=order_ids):
            return "duplicate_order", f"tag {tag} has more than one order: {', '.join(order_ids)}"
        case order_audit.ClosedOutside(symbol=symbol):
            return "position_gone", f"The account holds no {symbol} any more, though the strategy did not sell it"
        case order_audit.SharesMissing(key=key, held=held, expected=expected):
            return "shares_missing", f"The account holds {held} {key[1]}, its strategies have bought {expected}"
        case order_audit.PositionShort(key=key, held=held):
            return "position_short", f"The account is short of {-held} {key[1]}"
        case order_audit.UnguardedPosition(quantity=quantity, symbol=symbol):
            return "unguarded_position", f"{quantity} {symbol} are held and no strategy guards them"
