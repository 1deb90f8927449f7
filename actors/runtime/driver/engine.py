"""The engine as the API uses it (`actors.ports.engine.StrategyEngine`): spawns, stops and recovers strategies."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import ray
import structlog
from ray.exceptions import RayActorError, RayError
from ray.util import list_named_actors

from actors.domain.orders.order_address import SeenAddress
from actors.ports.common import PeerUnavailable
from actors.ports.engine import EngineUnavailable, RecoveryReport, StopResult, WordTaken
from actors.runtime import names
from actors.runtime.driver import cluster, cluster_nodes, named_strategies
from actors.runtime.driver.warm_workers import WarmPool
from actors.runtime.hosts import actor_classes
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.runtime.ray_ports import RayOrderExecution
from actors.strategy.held_again import closed_for_good, guarded_again
from config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from actors.ports.strategy import JournalEntry, LoadedRun

log = structlog.get_logger(__name__)

_READY_TIMEOUT_S = 30.0
_ANSWER_S = 5.0
_ANSWER_MARGIN_S = 0.5
"""How long before a caller gives up, the strategy answers that its exit is still working."""
_GATEWAY_S = 3.0
"""How long a place that orders leave from has to answer when it is asked whether it does."""
_POLL_S = 0.1
_GONE_S = 0.2
"""How long a STOP waits for the process of a run that is over: long enough for most, and the trader has his answer."""

_ENDED_S = 10.0  # how long the process of a run that is over may keep the name from the next one
_PANIC_S = 1.0
"""How long a panic waits for the actors that it calls directly; they are called again until everything is flat."""
_SILENT = object()

_RECOVERED_AT_ONCE = 6
_UNWANTED_S = 300.0
"""Without an open run an actor can do no harm, and it may still be waiting for its last words to be written down."""


class RayEngine:
    """Strategies as Ray actors. Every call may be repeated: names make them idempotent (row D2)."""

    def __init__(self, pools: Pools, way_out: tuple[str, str] = ("", "")) -> None:
        """`way_out`: Kite's root, and ADDRESS_ECHO_URL."""
        self._pools, self._way_out = pools, way_out
        self._peers = Peers()
        self._creating: dict[int, asyncio.Lock] = {}
        self._warm = WarmPool()
        self._unwanted: dict[int, float] = {}
        self._asking: set[asyncio.Task[Any]] = set()
        self._known: dict[int, Any] = {}
        """The actors that were seen alive. A call over a handle needs no head; to find an actor by its name does."""

    @classmethod
    async def connect(cls, settings: Settings) -> Self:
        """Connect to the cluster and make sure that its pools exist.

        Raises:
            EngineUnavailable: the cluster does not answer.
        """
        pools = Pools(settings.execution_actors, settings.ledger_actors, settings.brokers)
        engine = cls(pools, (settings.broker_root("kite"), settings.address_echo_url))
        try:
            await asyncio.to_thread(cluster.connect, settings)
            await engine._ensure_pools()
            await engine._await_pools()
            engine._warm.open()
        except (RayError, ConnectionError, TimeoutError) as error:
            raise EngineUnavailable(f"Ray does not answer: {error}") from error
        return engine

    async def close(self) -> None:
        """Leave the cluster; the strategies run on."""
        await self._warm.close()
        await asyncio.to_thread(ray.shutdown)

    def expect_start(self, strategy_id: int) -> None:
        """Have a worker ready for a strategy that was just made."""
        self._warm.expect(strategy_id)

    def ask_broker_now(self, strategy_ids: Collection[int]) -> None:
        """Have the known actors of these strategies ask the broker at once: their account has a new access token."""
        actors = [actor for strategy_id in strategy_ids if (actor := self._known.get(strategy_id)) is not None]
        task = asyncio.create_task(_ask_broker(actors), name="ask the broker now")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def ensure_running(self, run_id: int, strategy_id: int, label: str = "") -> None:
        """When it returns, the strategy's actor serves this run, or the run is over. Raises EngineUnavailable."""
        await self._actor_of(run_id, strategy_id, label)

    async def _actor_of(self, run_id: int, strategy_id: int, label: str = "") -> Any:
        """The actor that serves this run, or None if the run is over."""
        lock = self._creating.setdefault(strategy_id, asyncio.Lock())
        try:
            async with lock, asyncio.timeout(_READY_TIMEOUT_S):
                return await self._bring_up(run_id, strategy_id, label)
        except (TimeoutError, RayError) as error:
            raise EngineUnavailable(f"strategy {strategy_id} could not be brought up") from error

    async def _bring_up(self, run_id: int, strategy_id: int, label: str) -> Any:
        until = asyncio.get_running_loop().time() + _ENDED_S
        while True:
            actor = await asyncio.to_thread(actor_classes.create_strategy, run_id, strategy_id, self._pools, label)
            try:
                ready = await actor.ready.remote()
                if ready.is_new:
                    self._warm.taken(ready.node_id, strategy_id)
                if ready.run_id == run_id:
                    self._known[strategy_id] = actor
                    return actor
                if asyncio.get_running_loop().time() > until and await self._open_run(strategy_id) == run_id:
                    log.error("engine.ended_run_stayed", strategy_id=strategy_id)  # of a strategy one run is open
                    await asyncio.to_thread(ray.kill, actor, no_restart=True)
            except RayActorError:
                log.info("engine.actor_gone", strategy_id=strategy_id)
            if await self._open_run(strategy_id) != run_id:
                return None
            await asyncio.sleep(_POLL_S)  # the actor of an earlier run is ending; its name is free in a moment

    async def _find(self, run_id: int, strategy_id: int) -> Any:
        """As `_actor_of`, without the head if that is possible."""
        actor = self._known.get(strategy_id)
        if actor is not None:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    if (await actor.ready.remote()).run_id == run_id:
                        return actor
            except (TimeoutError, RayError):
                log.info("engine.known_actor_silent", strategy_id=strategy_id)
            self._known.pop(strategy_id, None)
        return await self._actor_of(run_id, strategy_id)

    async def stop(self, run_id: int, strategy_id: int, timeout_s: float) -> StopResult:
        """Row I1; works without the head, too. It answers within `timeout_s`.

        Raises:
            EngineUnavailable: it was not heard, or it is not known whether it was heard.
        """
        try:
            async with asyncio.timeout(timeout_s):
                flat, actor = await self._ask_to_stop(run_id, strategy_id, max(timeout_s - _ANSWER_MARGIN_S, 0.0))
        except TimeoutError as error:
            raise EngineUnavailable(f"strategy {strategy_id} is restarting and has not answered") from error
        gone = asyncio.ensure_future(_await_gone(actor)) if flat and actor is not None else None
        return StopResult(flat=flat, gone=gone)

    async def _ask_to_stop(self, run_id: int, strategy_id: int, timeout_s: float) -> tuple[bool, Any]:
        """Ask until the strategy has heard it, or the run is over: an actor may die, or end, between two calls.

        Whether the run is over and recorded, and the actor that said so.
        """
        until = asyncio.get_running_loop().time() + timeout_s
        known = self._known.get(strategy_id)
        while True:
            actor, known = known or await self._actor_of(run_id, strategy_id), None
            if actor is None:
                return True, None
            left_s = until - asyncio.get_running_loop().time()
            try:
                over: bool | None = await actor.stop.remote(max(left_s, 0.0), run_id)
            except RayActorError:
                if await self._open_run(strategy_id) != run_id:
                    return True, None
                await asyncio.sleep(_POLL_S)
            else:
                if over is not None:
                    return over, actor

    async def forbid_entries(self, user_id: int) -> bool:
        """Bar the user's entries at every execution actor. True: each of them has answered."""
        execution, _ = names.pool_names(self._pools)
        calls = [self._peers.call(name, "forbid_entries", user_id) for name in execution]
        answers = await _answers(calls, _PANIC_S)
        return all(answer is not _SILENT for answer in answers)

    async def stop_all_of(self, user_id: int) -> frozenset[int]:
        """Ask every strategy that is known whether it is the user's: they know it without any store."""
        asked = dict(self._known)
        answers = await _answers([_stop_if_of(actor, user_id) for actor in asked.values()], _PANIC_S)
        return frozenset(strategy_id for strategy_id, answer in zip(asked, answers, strict=True) if answer is True)

    async def account_shares(self, account_id: int) -> Mapping[tuple[str, str, str], int]:
        """Read the account by its execution actor. Raises EngineUnavailable."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                name = names.execution_name(account_id, self._pools)
                shares: Mapping[tuple[str, str, str], int] = await self._peers.call(name, "shares", account_id)
        except (PeerUnavailable, TimeoutError) as error:
            raise EngineUnavailable("the account cannot be read") from error
        return shares

    async def order_addresses(self) -> list[SeenAddress]:
        """The addresses that the broker sees orders come from, by each execution actor; silence is an answer, too."""
        execution, _ = names.pool_names(self._pools)
        calls = [self._peers.call(name, "order_address", *self._way_out) for name in execution]
        answers = await _answers(calls, _ANSWER_S)
        silent = (SeenAddress(name, unknown="it does not answer") for name in execution)
        return [none if answer is _SILENT else answer for answer, none in zip(answers, silent, strict=True)]

    async def silent_gateways(self) -> "tuple[Sequence[str], int]":
        """Ask each execution actor for its process."""
        execution, _ = names.pool_names(self._pools)
        answers = await _answers([self._peers.call(name, "process_id") for name in execution], _GATEWAY_S)
        silent = [name for name, answer in zip(execution, answers, strict=True) if answer is _SILENT]
        return silent, len(execution)

    async def move_stop(self, strategy_id: int, stop_loss_paise: int, stop_share: int | None = None) -> bool | None:
        """Move the stop-loss of a running strategy. Raises EngineUnavailable.

        To a level in paise, or to `stop_share` hundredths of a percent below the average fill. True: both guards have
        it. False: execution does not confirm it. None: nothing is guarded.
        """
        run_id = await self._open_run(strategy_id)
        actor = None if run_id is None else await self._find(run_id, strategy_id)
        if actor is None:
            return None
        try:
            confirmed: bool | None = await actor.move_stop.remote(stop_loss_paise, stop_share)
        except (RayActorError, PeerUnavailable) as error:
            raise EngineUnavailable(f"strategy {strategy_id} is restarting") from error
        return confirmed

    async def closed_by_trader(self, run_id: int, strategy_id: int, timeout_s: float) -> WordTaken:
        """End a run whose shares its trader has sold, unless the account shows them. Raises EngineUnavailable."""
        open_run = await self._open_run(strategy_id)
        actor = None if open_run is None else await self._find(open_run, strategy_id)
        if actor is None:
            return await self._word_about_ended(run_id, closed_for_good, "amend")
        try:
            taken: WordTaken = await actor.closed_by_trader.remote(timeout_s)
        except RayError as error:
            raise EngineUnavailable(f"strategy {strategy_id} could not ask the account") from error
        return taken

    async def held_by_trader(self, run_id: int, strategy_id: int) -> WordTaken:
        """Guard the shares of an ended run again, as far as the account covers them. Raises EngineUnavailable."""
        taken = await self._word_about_ended(run_id, guarded_again, "reopen")
        if taken.done:
            await self.ensure_running(run_id, strategy_id)
        return taken

    async def _word_about_ended(
        self, run_id: int, judged: "Callable[..., Awaitable[tuple[JournalEntry | None, int | None]]]", record: str
    ) -> WordTaken:
        loaded: LoadedRun | None = await self._ledger("load_ended", run_id)
        if loaded is None:
            return WordTaken(done=False)
        try:
            async with asyncio.timeout(_ANSWER_S):
                entry, held = await judged(loaded, RayOrderExecution(self._peers, self._pools), datetime.now(UTC))
        except (PeerUnavailable, TimeoutError) as error:
            raise EngineUnavailable("the account cannot be read") from error
        if entry is None:
            return WordTaken(done=False, held=held)
        if not await self._ledger(record, entry):  # another word, or a START, has come first
            return WordTaken(done=False)
        return WordTaken(done=True, held=held)

    async def recover(self) -> RecoveryReport:
        """Row J1: every open run has its actor, no other strategy has, and the mirror shows it.

        What holds shares comes first, a few at a time: all at once would each take as long as all of them.

        Raises:
            EngineUnavailable: Ray or the ledger does not answer.
        """
        await self._ensure_pools()
        alive = await asyncio.to_thread(self._live_strategies)
        runs: list[tuple[int, int]] = await self._ledger("open_runs")
        await self._end_unwanted(alive - {strategy_id for _, strategy_id in runs})
        missing = [(run_id, strategy_id) for run_id, strategy_id in runs if strategy_id not in alive]
        await self._meet(alive & {strategy_id for _, strategy_id in runs})
        await self._ledger("ensure_mirror")
        places = asyncio.Semaphore(_RECOVERED_AT_ONCE)
        labels: dict[int, str] = await self._ledger("open_run_labels") if missing else {}
        results = await asyncio.gather(*(self._recovered(*run, labels.get(run[0], ""), places) for run in missing))
        return RecoveryReport(found=len(runs), recovered=sum(results), failed=len(results) - sum(results))

    async def _meet(self, running: set[int]) -> None:
        """Know those that another process has started or moved, and forget those that are over."""
        self._known = {strategy_id: actor for strategy_id, actor in self._known.items() if strategy_id in running}
        self._known |= await asyncio.to_thread(named_strategies.found, running)

    async def _recovered(self, run_id: int, strategy_id: int, label: str, places: asyncio.Semaphore) -> bool:
        async with places:
            try:
                await self.ensure_running(run_id, strategy_id, label)
            except EngineUnavailable:
                log.exception("engine.recovery_failed", strategy_id=strategy_id)
                return False
            return True

    async def _end_unwanted(self, unwanted: set[int]) -> None:
        """End actors whose run has been over for minutes: by themselves they end within a moment of it."""
        now = asyncio.get_running_loop().time()
        self._unwanted = {strategy_id: self._unwanted.get(strategy_id, now) for strategy_id in unwanted}
        for strategy_id, since in self._unwanted.items():
            if now - since > _UNWANTED_S:
                log.warning("engine.unwanted_actor_ended", strategy_id=strategy_id)
                with contextlib.suppress(ValueError, RayError):  # it has just ended by itself
                    await asyncio.to_thread(named_strategies.end, names.strategy_name(strategy_id))

    async def emptied_nodes(self) -> "Sequence[str]":
        """The addresses of nodes that `tradeactors drain` has marked. Raises EngineUnavailable."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                nodes = await asyncio.to_thread(cluster_nodes.nodes)
        except (TimeoutError, RayError, ConnectionError) as error:
            raise EngineUnavailable("Ray does not answer") from error
        return [node.address for node in nodes if node.marked]

    async def health(self) -> dict[str, object]:
        """Nodes and strategies alive. Raises EngineUnavailable."""
        try:
            async with asyncio.timeout(5):
                nodes = await asyncio.to_thread(ray.nodes)
                alive = await asyncio.to_thread(self._live_strategies)
        except (TimeoutError, RayError, ConnectionError) as error:
            raise EngineUnavailable("Ray does not answer") from error
        return {"nodes": sum(bool(node["Alive"]) for node in nodes), "strategies": len(alive)}

    async def _ensure_pools(self) -> None:
        execution, ledgers = names.pool_names(self._pools)
        alive = set(await asyncio.to_thread(list_named_actors))
        if not alive.issuperset({*execution, *ledgers, *names.feed_names(self._pools)}):
            await asyncio.to_thread(actor_classes.create_pools, self._pools)

    async def _await_pools(self) -> None:
        """Give a cluster that has just started the time to bring them up: the first START would have to wait."""
        execution, ledgers = names.pool_names(self._pools)
        pools = (*execution, *ledgers, *names.feed_names(self._pools))
        calls = (self._peers.call(name, "process_id") for name in pools)
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                await asyncio.gather(*calls)
        except (TimeoutError, PeerUnavailable) as error:
            log.warning("engine.pools_not_ready", reason=repr(error))

    async def _open_run(self, strategy_id: int) -> int | None:
        runs: list[tuple[int, int]] = await self._ledger("open_runs", strategy_id)
        return next((run_id for run_id, _ in runs), None)

    async def _ledger(self, method: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                return await self._peers.call(names.ledger_name(0, self._pools), method, *arguments)
        except (PeerUnavailable, TimeoutError) as error:
            raise EngineUnavailable(f"the ledger does not answer: {error}") from error

    @staticmethod
    def _live_strategies() -> set[int]:
        found = (names.strategy_id_of(name) for name in list_named_actors())
        return {strategy_id for strategy_id in found if strategy_id is not None}


async def _stop_if_of(actor: Any, user_id: int) -> bool:
    return bool(await actor.stop_if_of.remote(user_id))


async def _answers(calls: "Sequence[Coroutine[Any, Any, Any]]", timeout_s: float) -> list[Any]:
    """The answers in the order of the calls; `_SILENT` for each that failed or took too long."""
    if not calls:
        return []
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.wait(tasks, timeout=timeout_s)
    answers = []
    for task in tasks:
        if not task.done():
            task.cancel()
        heard = task.done() and not task.cancelled() and task.exception() is None
        answers.append(task.result() if heard else _SILENT)
    return answers


async def _await_gone(actor: Any) -> None:
    """Wait for the end of the process; its run is over in any case."""
    with contextlib.suppress(TimeoutError, RayError):
        async with asyncio.timeout(_GONE_S):
            await actor.until_gone.remote()


async def _ask_broker(actors: list[Any]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            await asyncio.gather(*(actor.ask_broker_now.remote() for actor in actors), return_exceptions=True)
