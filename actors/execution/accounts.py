"""What an execution actor keeps of each account that is mapped to it, from its first use until it is out of use."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from actors.domain.market_hours import MarketHours
from actors.domain.orders.order import OrderReport
from actors.execution.account.budget import BudgetLeft, BudgetLimits, OrderBudget
from actors.execution.account.position_evidence import AccountEvidence
from actors.execution.account.request_counts import RequestCounts
from actors.execution.account.trading_account import TradingAccount, newest_by_tag
from actors.execution.guarding.stop_guard import StopGuard
from actors.execution.watching.account_watcher import AccountWatch
from actors.ports.common import Clock
from actors.ports.execution import (
    AccountRecords,
    AttemptLog,
    OrderGateways,
    OrderUpdates,
    StrategyEvents,
    StreamCallbacks,
)
from actors.ports.strategy import OrderCommand

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ExecutionAccount:
    """What is kept of one account."""

    trading: TradingAccount
    evidence: AccountEvidence
    watch: AccountWatch
    hours: MarketHours

    async def find(self, tag: str) -> OrderReport | None:
        """The order of the tag in the book, by a read that begins now. Raises BrokerUnavailable."""
        return newest_by_tag(await self.trading.read_book(), [tag]).get(tag)


@dataclass(frozen=True, slots=True)
class AccountParts:
    """What accounts are made of."""

    gateways: OrderGateways
    strategies: StrategyEvents
    attempts: AttemptLog
    records: AccountRecords
    updates: OrderUpdates
    clock: Clock
    budget: BudgetLimits


class ExecutionAccounts:
    """The accounts by their id. `working` gives the runs whose orders are working; `in_background` keeps a task."""

    def __init__(
        self,
        parts: AccountParts,
        stops: StopGuard,
        *,
        working: Callable[[], frozenset[int]],
        in_background: Callable[[Awaitable[None]], None],
    ) -> None:
        self._parts, self._stops, self._working, self._in_background = parts, stops, working, in_background
        self._accounts: dict[int, ExecutionAccount] = {}
        self._budgets: dict[int, OrderBudget] = {}
        self._requests: dict[int, RequestCounts] = {}

    def known(self, account_id: int) -> ExecutionAccount | None:
        """The account, if it is in use."""
        return self._accounts.get(account_id)

    def is_over(self, command: OrderCommand) -> bool:
        """Whether the journal calls the command's run ended; of a strategy that is silent, also if it has none."""
        account = self._accounts.get(command.account_id)
        if account is None:
            return False
        ended = account.evidence.says_ended(command.run_id)
        return self._stops.is_silent(command.strategy_id) if ended is None else ended

    def budgets_left(self) -> Sequence[BudgetLeft]:
        """What each account that was used today has left of its order budget."""
        return [budget.left() for budget in self._budgets.values()]

    async def of(self, account_id: int) -> ExecutionAccount:
        """The account, taken into use. Raises BrokerUnavailable."""
        account, parts = self._accounts.get(account_id), self._parts
        if account is None:
            gateway = await parts.gateways.gateway(account_id)
            hours = await parts.gateways.hours(account_id)
            account = self._accounts.get(account_id)  # another call may have been faster
        if account is None:
            budget = self._budgets.setdefault(account_id, OrderBudget(parts.budget, parts.clock))
            requests = self._requests.setdefault(account_id, RequestCounts(parts.clock))
            trading = TradingAccount(gateway, budget, requests)
            evidence = AccountEvidence(account_id, trading, parts.records, parts.clock)
            watch = AccountWatch(
                account_id,
                trading,
                evidence,
                working=self._working,
                strategies=parts.strategies,
                attempts=parts.attempts,
                clock=parts.clock,
            )
            account = ExecutionAccount(trading, evidence, watch, hours)
            self._in_background(self._watch(account_id, watch))
            self._accounts[account_id] = account
            parts.updates.follow(account_id, self._callbacks(account_id, trading))
        account.watch.used()
        return account

    def _callbacks(self, account_id: int, trading: TradingAccount) -> StreamCallbacks:
        stops = self._stops

        def on_connected() -> None:
            trading.updates_broke()
            stops.on_connected(account_id)

        return StreamCallbacks(
            on_update=lambda report: self._on_update(account_id, report),
            on_connected=on_connected,
            on_lost=lambda: stops.on_lost(account_id),
            on_heard=lambda: stops.on_heard(account_id),
            on_tick=lambda token, price, traded_at, sent_at: stops.on_tick(
                account_id, token, price, traded_at, sent_at
            ),
        )

    async def _watch(self, account_id: int, watch: AccountWatch) -> None:
        """Forget an account that is out of use. Its budget stays, since the day is not over."""
        await watch.run()
        del self._accounts[account_id]
        self._stops.on_left(account_id)
        self._parts.updates.leave(account_id)

    def _on_update(self, account_id: int, report: OrderReport) -> None:
        account = self._accounts.get(account_id)
        if account is not None:
            account.trading.take_update(report)
            account.watch.take_update(report)
