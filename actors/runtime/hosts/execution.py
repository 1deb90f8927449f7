"""The Ray actor of execution: a pool, of which an account always has the same member. Made in a running loop."""

import asyncio
import os
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from actors.domain.identifiers import IntentId
from actors.domain.orders.cover import Cover, PositionKey
from actors.domain.orders.order import OrderReport
from actors.domain.orders.order_address import SeenAddress
from actors.domain.strategy.events import Event
from actors.execution.shell import ExecutionShell
from actors.ports.common import PeerUnavailable
from actors.ports.execution import BrokerUnavailable, ExecutionStreams, GuardDisplay
from actors.ports.strategy import GuardAnswer, Holding, OrderCommand
from actors.runtime import names, node_marks, ray_ports
from actors.runtime.clients import connections
from actors.runtime.clients.account_records import GuardsInMirror, JournalRecords
from actors.runtime.clients.broker_accounts import Accounts
from actors.runtime.clients.order_address import OrderAddress
from actors.runtime.clients.trading_hours import Markets
from actors.runtime.clients.update_streams import UpdateFollower
from actors.runtime.clock import SystemClock
from actors.runtime.hosts.process_tuning import end_own_actor, tune
from actors.runtime.hosts.spare_process import keep_spare
from actors.runtime.names import Pools
from actors.runtime.peers import Peers, own_host, own_name, own_node
from actors.runtime.plane import invitations, linked_orders
from actors.runtime.plane.feed_link import LinkedFeedTicks
from actors.runtime.plane.invitations import Invitation
from actors.runtime.plane.orders import OrderLinkServer
from actors.waiting import every_second_or_when, until_answered
from config import metric_names
from persistence.mirror.figures import Figures
from persistence.mirror.presence import keep_present

log = structlog.get_logger(__name__)

T = TypeVar("T")

_RECORD_RETRY_S = 1.0

_GONE_WITHIN_S = 5.0
"""How long Ray may need to end one that leaves; one that it has not ended by then goes on."""

_GUARDS_EVERY_S, _GUARDS_PAUSE_S = 3.0, 0.2
"""How often the guards are shown, and how long after a change: an order may be leaving, or fifty arm their stops."""


class ExecutionActor:
    """The Ray actor `execution:{n}`."""

    def __init__(self, pools: Pools) -> None:
        settings = connections.process_settings()
        tune()
        claims, ledger = connections.open_claims(settings, own_name())
        self._checking_database = asyncio.create_task(claims.database.keep_checking())
        self._lease, self._keeping_lease = claims.lease, asyncio.create_task(claims.lease.keep())
        peers, accounts = Peers(), Accounts(settings, ledger)
        self._address = OrderAddress(own_name())
        self._stops_shown, self._left = 0, False
        self._links = OrderLinkServer(own_node(), own_host(), self.execute)
        self._records = JournalRecords(ledger)
        self._attempts = ray_ports.RayAttemptLog(peers, pools)
        markets = Markets(settings, accounts)
        self._calendar_loading = asyncio.create_task(markets.load())
        self._execution = ExecutionShell(
            gateways=markets,
            claims=claims,
            strategies=linked_orders.LinkedStrategyEvents(self._links, peers),
            attempts=self._attempts,
            records=self._records,
            streams=ExecutionStreams(
                UpdateFollower(accounts, reread_s=accounts.reread_s), LinkedFeedTicks(peers, pools)
            ),
            clock=SystemClock(),
            limits=connections.execution_limits(settings),
        )
        self._hearing = asyncio.create_task(self._execution.stops.keep_hearing())
        self._rehearsing = asyncio.create_task(self._execution.rehearsal.run())
        self._watching = asyncio.create_task(self._watch_again(pools))
        self._watch_figures(claims.figures)
        self._present = asyncio.create_task(
            keep_present(claims.mirror, own_name(), own_host(), os.getpid(), own_node(), claims.figures)
        )
        self._keeping_spare = asyncio.create_task(keep_spare())
        self._showing = asyncio.create_task(self._keep_showing(GuardsInMirror(claims.mirror)))

    async def _keep_showing(self, display: GuardDisplay) -> None:
        """Publish which guards stand, as soon as that changes and every few seconds."""
        while True:
            await every_second_or_when(self._execution.stops.changed, _GUARDS_EVERY_S)
            await asyncio.sleep(_GUARDS_PAUSE_S)
            shown = self._execution.stops.shown()
            self._stops_shown = len(shown)
            await display.show_guards(shown)

    async def _watch_again(self, pools: Pools) -> None:
        """Execution that restarts knows of no account; those of today are watched whether anybody uses them or not."""
        accounts = await until_answered(
            self._records.accounts_in_use,
            _RECORD_RETRY_S,
            lambda error: log.warning("execution.accounts_unknown", reason=str(error)),
        )
        own = own_name()
        await self._execution.watch_again([a for a in accounts if names.execution_name(a, pools) == own])

    def _watch_figures(self, figures: Figures) -> None:
        stops, budgets = self._execution.stops, self._execution.accounts.budgets_left
        figures.watch(metric_names.STOPS_ARMED, lambda: self._stops_shown)
        figures.watch(metric_names.STOPS_DEAF, stops.deaf)
        figures.watch(metric_names.ARMED_PRICE_AGE, stops.silence_s)
        left = metric_names.BUDGET_LEFT
        figures.watch(left, lambda: min((budget.minute for budget in budgets()), default=None), "minute")
        figures.watch(left, lambda: min((budget.day for budget in budgets()), default=None), "day")
        figures.watch(metric_names.BUDGET_WAITING, lambda: sum(left.waiting for left in budgets()))

    async def invite(self, strategy_id: int, node: str) -> Invitation | None:
        """A link for the orders of a strategy that runs on this node; None if there is no way to make one."""
        return invitations.invitation_for(self._links.invite, str(strategy_id), node)

    async def execute(self, command: OrderCommand) -> Event:
        if self._left:
            raise PeerUnavailable("execution goes on in another process")
        return await self._execution.execute(command)

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        await _proven(self._execution.cancel(account_id, intent_id, order_id))

    async def withdraw(self, _account_id: int, intent_id: IntentId) -> None:
        self._execution.withdraw(intent_id)

    async def forbid_entries(self, user_id: int) -> None:
        self._execution.entries.forbid(user_id)

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        return await _proven(self._execution.orders_by_tag(account_id, tags))

    async def probe(self, account_id: int) -> bool:
        return await self._execution.probe(account_id)

    async def cover(self, holding: Holding) -> Cover:
        return await _proven(self._execution.cover(holding))

    async def shares(self, account_id: int) -> Mapping[PositionKey, int]:
        """What the account holds or owes, of any origin, as execution reads it now."""
        return await _proven(self._execution.shares(account_id))

    async def order_address(self, root: str, echo_url: str) -> SeenAddress:
        """The address that the broker at `root` sees orders of this process come from; an account's proxy apart."""
        return await self._address.seen(root, echo_url)

    async def guard(self, holding: Holding) -> GuardAnswer:
        return await _proven(self._execution.guard(holding))

    async def needs_feed(self) -> bool:
        """Whether it would watch some stop-loss no longer if the feed were away."""
        return self._execution.stops.needs_feed()

    async def leave(self, until: datetime) -> str:
        """End this actor for good, so that it can begin on another node; the end comes in place of an answer.

        Otherwise why not now, in half a sentence: then it goes on; if the head has died in that moment, until the head
        is back and ends it, as a crash would. `until`, in UTC: the drain that has asked waits no
        longer than that, and another moment has not been chosen for it.
        """
        if (hindered := await self._hindrance(until)) is not None:
            return hindered
        self._left = True
        try:
            end_own_actor()
            await asyncio.sleep(_GONE_WITHIN_S)
        finally:
            self._left = False
        return "Ray has not ended it"

    async def _hindrance(self, until: datetime) -> str | None:
        if not await asyncio.to_thread(node_marks.head_answers):
            return "Ray's head does not answer, and could not have it begin elsewhere"
        if datetime.now(UTC) > until:
            return "it was asked to leave too late"
        if not self._lease.held:
            return "it has no lease, so that two of it could send for a moment"
        if self._attempts.unheard:
            return "an alert of it has not reached its ledger"
        return "an order of its accounts is on its way" if self._execution.working_runs() else None

    async def process_id(self) -> int:
        """The pid of this actor's process."""
        return os.getpid()


async def _proven(call: Awaitable[T]) -> T:
    try:
        return await call
    except BrokerUnavailable as error:
        raise PeerUnavailable(str(error)) from error
