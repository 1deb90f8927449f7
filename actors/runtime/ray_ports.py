"""Ports over Ray: an actor's handle in the place of the port, for each port that is served by another actor."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from actors.domain.identifiers import IntentId
from actors.domain.orders.cover import Cover
from actors.domain.orders.order import OrderReport
from actors.domain.prices.tick import Tick
from actors.domain.strategy.events import Event
from actors.ports.common import PeerUnavailable
from actors.ports.execution import Attempt, OrderNote
from actors.ports.prices import FeedStatus
from actors.ports.strategy import GuardAnswer, Holding, JournalEntry, LoadedRun, OrderCommand
from actors.runtime import names
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.waiting import until_answered

log = logging.getLogger(__name__)

_ALERT_AGAIN_S = 1.0


class RayOrderExecution:
    """`OrderExecution` over the execution pool."""

    def __init__(self, peers: Peers, pools: Pools) -> None:
        self._peers, self._pools = peers, pools

    def execute(self, command: OrderCommand) -> Awaitable[Event]:
        name = names.execution_name(command.account_id, self._pools)
        return self._peers.call(name, "execute", command, title=f"execute {command.intent.event}")

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        await self._call(account_id, "cancel", account_id, intent_id, order_id)

    async def withdraw(self, account_id: int, intent_id: IntentId) -> None:
        await self._call(account_id, "withdraw", account_id, intent_id)

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        reports: Mapping[str, OrderReport] = await self._call(account_id, "orders_by_tag", account_id, tags)
        return reports

    async def probe(self, account_id: int) -> bool:
        return bool(await self._call(account_id, "probe", account_id))

    async def cover(self, holding: Holding) -> Cover:
        cover: Cover = await self._call(holding.account_id, "cover", holding)
        return cover

    async def guard(self, holding: Holding) -> GuardAnswer:
        answer: GuardAnswer = await self._call(holding.account_id, "guard", holding)
        return answer

    async def _call(self, account_id: int, method: str, *arguments: Any) -> Any:
        return await self._peers.call(names.execution_name(account_id, self._pools), method, *arguments)


class RayJournal:
    """`Journal` over the ledger pool, for one strategy."""

    def __init__(self, peers: Peers, pools: Pools, strategy_id: int) -> None:
        self._peers = peers
        self._ledger = names.ledger_name(strategy_id, pools)

    async def load(self, run_id: int) -> LoadedRun | None:
        loaded: LoadedRun | None = await self._peers.call(self._ledger, "load", run_id, title="load a run")
        return loaded

    async def record(self, entry: JournalEntry) -> None:
        await self._peers.call(self._ledger, "record", entry, title=f"record {entry.state.phase}")

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str, about: str = "") -> None:
        await self._peers.call(self._ledger, "alert", user_id, strategy_id, code, message, about, title=f"alert {code}")

    async def alert_over(self, user_id: int, strategy_id: int, codes: Sequence[str], about: str = "") -> None:
        await self._peers.call(self._ledger, "alert_over", user_id, strategy_id, tuple(codes), about)


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """A message to a ledger that has not answered it yet. `ends`: it says that something is over."""

    ends: bool
    sending: "asyncio.Task[None]"


class RayAlerts:
    """`Alerts` over the ledger pool. A ledger that is being started again hears them as soon as it is there.

    That something is over, it hears after all that came before about the same, and nothing about it overtakes that.
    Alerts do not wait for each other: where the database is away, a ledger answers none, and tells the operator of all.
    """

    def __init__(self, peers: Peers, pools: Pools) -> None:
        self._peers, self._pools = peers, pools
        self._unheard: dict[tuple[int, str], list[_Message]] = {}

    def alert(self, user_id: int, strategy_id: int, code: str, message: str, about: str = "") -> None:
        ledger = names.ledger_name(strategy_id, self._pools)
        arguments = user_id, strategy_id, code, message, about
        call = partial(self._peers.call, ledger, "alert", *arguments, title=f"alert {code}")
        self._send((user_id, about or f"strategy:{strategy_id}"), call, ends=False)

    def alert_over(self, user_id: int, strategy_id: int, codes: Sequence[str], about: str = "") -> None:
        ledger = names.ledger_name(strategy_id, self._pools)
        call = partial(self._peers.call, ledger, "alert_over", user_id, strategy_id, tuple(codes), about)
        self._send((user_id, about or f"strategy:{strategy_id}"), call, ends=True)

    def _send(self, about: tuple[int, str], call: Callable[[], Awaitable[Any]], *, ends: bool) -> None:
        unheard = self._unheard.setdefault(about, [])
        before = [message.sending for message in unheard if ends or message.ends]
        message = _Message(ends, asyncio.ensure_future(self._deliver(about, before, call)))
        unheard.append(message)
        message.sending.add_done_callback(lambda _: self._heard(about, message))

    @property
    def unheard(self) -> int:
        """Of how many things there is an alert, or an end, that no ledger has heard yet."""
        return len(self._unheard)

    async def _deliver(
        self, about: tuple[int, str], before: Collection["asyncio.Task[None]"], call: Callable[[], Awaitable[Any]]
    ) -> None:
        if before:
            await asyncio.wait(before)
        said = False

        def say(error: PeerUnavailable) -> None:
            nonlocal said
            if not said:
                log.warning("no ledger hears of %s of user %s: %s; it is sent until one does", *reversed(about), error)
            said = True

        await until_answered(call, _ALERT_AGAIN_S, say)

    def _heard(self, about: tuple[int, str], message: _Message) -> None:
        unheard = self._unheard[about]
        unheard.remove(message)
        if not message.sending.cancelled() and (error := message.sending.exception()) is not None:
            log.error("an alert of %s of user %s is lost", *reversed(about), exc_info=error)
        if not unheard:
            del self._unheard[about]


class RayAttemptLog(RayAlerts):
    """`AttemptLog` over the ledger pool."""

    def log_attempt(self, attempt: Attempt) -> None:
        title = f"{attempt.command.intent.event} {attempt.result.outcome}"
        ledger = names.ledger_name(attempt.command.strategy_id, self._pools)
        self._peers.tell(ledger, "log_attempt", attempt, title=title)

    def log_note(self, note: OrderNote) -> None:
        ledger = names.ledger_name(note.command.strategy_id, self._pools)
        self._peers.tell(ledger, "log_note", note, title=f"note {note.event}")


class RayPriceMirror:
    """`PriceMirror` over the ledger pool, for the prices of one broker."""

    def __init__(self, peers: Peers, pools: Pools, broker: str) -> None:
        self._peers, self._broker = peers, broker
        self._ledger = names.ledger_name(0, pools)

    def show_price(self, symbol: str, tick: Tick, status: FeedStatus) -> None:
        self._peers.tell(self._ledger, "show_price", self._broker, symbol, tick, status)

    def show_feed(self, symbol: str, status: FeedStatus) -> None:
        self._peers.tell(self._ledger, "show_feed", self._broker, symbol, status)


class RayStrategies:
    """`StrategyEvents` over the strategy actors."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def report(self, strategy_id: int, event: Event) -> None:
        await self._peers.call(names.strategy_name(strategy_id), "take_event", event)
