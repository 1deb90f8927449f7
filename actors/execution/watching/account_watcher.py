"""The watcher of one account: compares its order book, its positions and our intents (mechanism 11).

One reading per account and interval, however many strategies hold something there. It never trades: a strategy whose
shares are gone hears of it, a missing share makes exits ask before they sell, everything else is an alert.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from actors.domain.identifiers import Product
from actors.domain.orders.cover import PositionKey
from actors.domain.orders.order import OrderReport
from actors.domain.orders.partly_read import is_unread
from actors.domain.strategy.events import Event, ExitUncovered, PositionClosedOutside
from actors.execution.account.position_evidence import SETTLES_WITHIN, AccountEvidence, Reading
from actors.execution.account.trading_account import TradingAccount
from actors.execution.watching import audit
from actors.execution.watching.alerts import alert_of, is_due_again
from actors.execution.watching.audit import Account, Finding
from actors.execution.watching.troubles import Trouble, Troubles, about_of, judged
from actors.ports.common import Clock, PeerUnavailable
from actors.ports.execution import AttemptLog, BrokerUnavailable, StrategyEvents
from actors.ports.strategy import Holding
from actors.waiting import within

log = structlog.get_logger(__name__)


INTERVAL = timedelta(seconds=2)
"""Between two comparisons of an account in which we hold something."""
CONFIRM_AFTER = timedelta(milliseconds=500)
"""When a first suspicion is looked at again."""
CLOSED_AFTER = timedelta(seconds=3)
"""How long a position must be empty before its run is ended: it may lag behind fills. Exits ask meanwhile."""
IDLE_INTERVAL = timedelta(seconds=30)
RETIRE_AFTER = timedelta(minutes=10)
"""An account that was not used for this long is no longer watched, until it is used again."""
HOLDING_LASTS = timedelta(seconds=15)
"""A strategy that has not renewed its holding for this long does not guard it."""
UNGUARDED_AFTER = timedelta(seconds=20)
"""A strategy that restarts is without a guard for a moment; for longer is an alert."""
KEEP_WARM = timedelta(seconds=25)
UNREADABLE_AFTER = timedelta(seconds=10)


class AccountWatch:
    """Give it holdings with `guard`, and await `run()` in a task."""

    def __init__(
        self,
        account_id: int,
        trading: TradingAccount,
        evidence: AccountEvidence,
        *,
        working: Callable[[], frozenset[int]],
        strategies: StrategyEvents,
        attempts: AttemptLog,
        clock: Clock,
    ) -> None:
        self._account_id, self._trading, self._evidence, self._working = account_id, trading, evidence, working
        self._strategies, self._attempts = strategies, attempts
        self._clock = clock
        self._holdings: dict[int, tuple[Holding, float]] = {}
        self._changed_at: dict[int, float] = {}
        self._suspected: dict[Finding, float] = {}
        self._told: dict[Finding, float] = {}
        self._troubles = Troubles(attempts)
        self._unreadable_since: float | None = None
        self._unreadable_told = False
        self._look_now = asyncio.Event()
        self._used_at = self._warmed_at = clock.monotonic()

    def used(self) -> None:
        """The account is in use."""
        self._used_at = self._clock.monotonic()

    def guard(self, holding: Holding) -> None:
        """Take in what a run holds; an older incarnation cannot take back what a newer one says."""
        known = self._holdings.get(holding.strategy_id)
        if known is not None and (known[0].run_id, known[0].epoch) > (holding.run_id, holding.epoch):
            return
        if known is None or known[0].quantity != holding.quantity:
            self._changed_at[holding.strategy_id] = self._clock.monotonic()
        self._evidence.take_stake(holding.key, holding.stake)
        if holding.quantity <= 0:
            self._holdings.pop(holding.strategy_id, None)
            self._changed_at.pop(holding.strategy_id, None)
            return
        self._holdings[holding.strategy_id] = (holding, self._clock.monotonic())
        if known is None:
            self._look_now.set()

    def take_update(self, report: OrderReport) -> None:
        """An order of the account has news. One that is not ours may have sold what is ours: compare at once."""
        if report.filled_quantity and not (report.tag is not None and self._evidence.is_own(report.tag)):
            self._evidence.doubt(report)
            self._look_now.set()

    async def run(self) -> None:
        """Compare until the account was not used for long."""
        loop = asyncio.get_running_loop()
        while self._is_needed():
            self._look_now.clear()
            begun = loop.time()
            try:
                await self._compare()
            except BrokerUnavailable as error:
                self._cannot_read(str(error))
            except Exception as error:  # noqa: BLE001 - whatever broke in one round, the account stays watched
                self._cannot_read(repr(error))
            await asyncio.sleep(CONFIRM_AFTER.total_seconds())
            if not set(self._suspected) - set(self._told):
                # from look to look, however long one takes: what was seen stands for three seconds only
                pause = INTERVAL if self._holdings else IDLE_INTERVAL
                await within(self._look_now, begun + pause.total_seconds() - loop.time())

    def _is_needed(self) -> bool:
        """While the account is in use, or our runs have traded there within the last day."""
        used_lately = self._since(self._used_at) < RETIRE_AFTER
        return bool(self._holdings or self._working() or used_lately or self._evidence.known)

    async def _compare(self) -> None:
        working, unsettled = self._working(), self._unsettled()
        reading = await self._evidence.read(demat=self._needs_demat())
        await self._keep_warm()
        self._unreadable_since, self._unreadable_told = None, False
        # what could not be read is not judged, and what moved while we read is judged in the next round
        holdings = [held for held in self._present_holdings() if not is_unread(reading.positions, held.key)]
        working, unsettled = working | self._working(), unsettled | self._unsettled()
        account = self._account(reading, holdings, working, unsettled)
        findings = audit.audit(account)
        await self._judge(findings)
        present = {self._trouble(finding) for finding in findings}
        self._troubles.looked(judged(self._account_id, account), present, self._clock.monotonic())

    def _account(
        self, reading: Reading, holdings: list[Holding], working: frozenset[int], unsettled: frozenset[PositionKey]
    ) -> Account:
        keys = {holding.key for holding in holdings}
        return Account(
            book=reading.book,
            positions=reading.positions,
            covers={key: self._evidence.judge(key, reading) for key in keys},
            holdings=holdings,
            known=reading.known,
            is_own=self._evidence.is_own,
            read_at=reading.read_at,
            unsettled=unsettled,
            working=working,
        )

    def _needs_demat(self) -> bool:
        """Another reading, which delivery alone needs."""
        held = any(holding.product is Product.CNC for holding, _ in self._holdings.values())
        return held or any(intent.key[2] == Product.CNC for intent in self._evidence.known)

    async def _keep_warm(self) -> None:
        """Our own reads use the connection that was used last; an order that comes with others needs more of them."""
        if self._holdings and self._since(self._warmed_at) >= KEEP_WARM:
            self._warmed_at = self._clock.monotonic()
            await self._trading.gateway.keep_warm()

    def _present_holdings(self) -> list[Holding]:
        return [holding for holding, at in self._holdings.values() if self._since(at) <= HOLDING_LASTS]

    def _unsettled(self) -> frozenset[PositionKey]:
        """Positions that a fill of ours has moved a moment ago."""
        keys = {
            holding.key: self._since(self._changed_at[strategy_id]) < SETTLES_WITHIN
            for strategy_id, (holding, _) in self._holdings.items()
        }
        return frozenset(key for key, changed in keys.items() if changed or not self._evidence.settled(key))

    async def _judge(self, findings: list[Finding]) -> None:
        now = self._clock.monotonic()
        since = {finding: self._suspected.get(finding, now) for finding in findings}
        for finding, first_seen in since.items():
            if timedelta(seconds=now - first_seen) >= self._patience(finding):
                await self._act(finding)
        self._suspected = since
        self._told = {finding: at for finding, at in self._told.items() if finding in since}

    def _patience(self, finding: Finding) -> timedelta:
        match finding:
            case audit.UnguardedPosition():
                return UNGUARDED_AFTER
            case audit.ClosedOutside():
                return CLOSED_AFTER
        return CONFIRM_AFTER

    async def _act(self, finding: Finding) -> None:
        match finding:
            case audit.ClosedOutside(strategy_id=strategy_id, reason=reason):
                await self._tell(strategy_id, PositionClosedOutside(reason))
            case audit.ExitUncovered(strategy_id=strategy_id, reason=reason):
                await self._tell(strategy_id, ExitUncovered(reason))
        told_at = self._told.get(finding)
        if told_at is not None and not is_due_again(finding, self._since(told_at)):
            return
        self._told[finding] = self._clock.monotonic()
        code, message = alert_of(finding)
        trouble = self._trouble(finding)
        self._attempts.alert(finding.user_id, finding.strategy_id, code, message, trouble.about)
        self._troubles.reported(trouble)

    def _trouble(self, finding: Finding) -> Trouble:
        code, _ = alert_of(finding)
        return Trouble(finding.user_id, code, about_of(self._account_id, finding), finding.strategy_id)

    async def _tell(self, strategy_id: int, event: Event) -> None:
        try:
            await self._strategies.report(strategy_id, event)
        except PeerUnavailable as error:  # it is restarting; the next round tells it again
            log.warning("watch.strategy_not_told", strategy_id=strategy_id, reason=str(error))

    def _since(self, at: float) -> timedelta:
        """How long ago it was: by the monotonic clock, since one that is would hide what lasts, or end it."""
        return timedelta(seconds=self._clock.monotonic() - at)

    def _cannot_read(self, reason: str) -> None:
        if self._unreadable_since is None:
            self._unreadable_since = self._clock.monotonic()
        self._troubles.cannot_look()
        log.warning("watch.account_unreadable", account_id=self._account_id, reason=reason)
        if not self._unreadable_told and self._holdings and self._since(self._unreadable_since) >= UNREADABLE_AFTER:
            self._unreadable_told = True
            message = f"The account cannot be compared with its positions: {reason}"
            for holding, _ in self._holdings.values():
                owner, strategy_id, about = holding.user_id, holding.strategy_id, f"strategy:{holding.strategy_id}"
                self._attempts.alert(owner, strategy_id, "account_unreadable", message, about)
                self._troubles.reported(Trouble(owner, "account_unreadable", about, strategy_id))
