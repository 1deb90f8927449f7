"""What runs inside the Ray processes of which there are many: strategies and routers.

A host builds its ports in its own process and gives Ray something to call. This module imports nothing heavy:
what it costs, every strategy costs.
"""

import asyncio
import logging
import os
from typing import Any, NamedTuple

from actors.domain.events import Event, TickReceived
from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.snapshot import RuntimeView, runtime_view
from actors.domain.stop_loss import Tick
from actors.ports import FeedStatus, LoadedRun, PeerUnavailable
from actors.runtime import handles, lines, names
from actors.runtime.clock import SystemClock
from actors.runtime.light_logging import configure_light_logging
from actors.runtime.names import Pools
from actors.runtime.plane.link import Invitation
from actors.runtime.plane.ticks import TickSender
from actors.runtime.tuning import tune
from actors.strategy_actor import StrategyActor
from actors.tick_router import TickRouter

log = logging.getLogger(__name__)

_LOAD_RETRY_S = 0.5
_FORGET_AFTER_S = 60.0
"""A strategy whose link broke and that did not ask again for so long is gone."""

_CRASH_PAUSE_S = 1.0
"""Before a crashed strategy starts anew, so that a lasting cause does not keep the machine busy."""


class Ready(NamedTuple):
    """The run that a strategy's actor lives, its node, and whether nobody has asked since its process began."""

    run_id: int
    node_id: str
    is_new: bool


class StrategyHost:
    """The Ray actor `strategy:{id}`: loads its run, lives it, and ends its own process when the run is over.

    Ray runs `__init__` again in a new process after a crash; recovery is nothing else than starting.
    """

    async def __init__(self, run_id: int, strategy_id: int, pools: Pools) -> None:  # type: ignore[misc] # Ray awaits it
        configure_light_logging()
        tune()
        self._run_id = run_id
        self._strategy_id = strategy_id
        self._pools, self._peers = pools, (peers := handles.Peers())
        self._journal = handles.RayJournal(peers, pools, strategy_id)
        self._desk = lines.LinkedOrderDesk(peers, pools, strategy_id, self._on_report)
        self._is_new = True
        self._loaded: asyncio.Future[StrategyActor | None] = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live())

    def __repr__(self) -> str:
        return f"strategy:{self._strategy_id}"

    async def ready(self) -> Ready:
        """Answers once the run is loaded."""
        await asyncio.shield(self._loaded)
        is_new, self._is_new = self._is_new, False
        return Ready(self._run_id, handles.own_node(), is_new)

    async def take_event(self, event: Event) -> None:
        """An event from execution."""
        actor = await asyncio.shield(self._loaded)
        if actor is not None:
            actor.post(event)

    async def take_tick(self, tick: Tick) -> None:
        """A tick from a router that has no link to us."""
        self._on_tick(tick)

    async def stop(self, timeout_s: float) -> bool:
        """STOP; whether the run is over and recorded."""
        actor = await asyncio.shield(self._loaded)
        return actor is None or await actor.stop(timeout_s)

    async def move_stop(self, stop_loss: Paise) -> None:
        """Move the stop-loss; returns once that is recorded."""
        actor = await asyncio.shield(self._loaded)
        if actor is not None:
            await actor.move_stop(stop_loss)

    async def view(self) -> RuntimeView | None:
        """What the strategy says of itself now, for operators."""
        actor = await asyncio.shield(self._loaded)
        return runtime_view(actor.state) if actor is not None else None

    async def process_id(self) -> int:
        """The pid of this actor's process, for operators and for tests that kill it."""
        return os.getpid()

    def _on_tick(self, tick: Tick) -> None:
        """One that comes before the run is loaded decides nothing anyway."""
        if self._loaded.done() and (actor := self._loaded.result()) is not None:
            actor.post(TickReceived(tick))

    def _on_report(self, event: Event) -> None:
        if self._loaded.done() and (actor := self._loaded.result()) is not None:
            actor.post(event)

    async def _live(self) -> None:
        try:
            loaded = await self._load()
            if loaded is None:
                self._loaded.set_result(None)
                return
            prices = lines.LinkedPriceWatch(self._peers, self._pools, loaded.run.broker, self._on_tick)
            actor = StrategyActor(loaded, desk=self._desk, journal=self._journal, prices=prices, clock=SystemClock())
            self._loaded.set_result(actor)
            linking = asyncio.create_task(self._desk.keep_linked(loaded.run.account_id))
            ended = await actor.live()
            linking.cancel()
            if not ended:
                os._exit(1)  # a newer incarnation has this actor's id too: killing by handle would kill that one
        except Exception:
            log.exception("strategy.crashed", extra={"strategy_id": self._strategy_id, "run_id": self._run_id})
            await asyncio.sleep(_CRASH_PAUSE_S)
            os._exit(1)  # Ray starts the actor anew, and recovery finds the position guarded again
        finally:
            end_own_actor()

    async def _load(self) -> LoadedRun | None:
        while True:
            try:
                return await self._journal.load(self._run_id)
            except PeerUnavailable as error:
                about = {"strategy_id": self._strategy_id, "reason": str(error)}
                log.warning("strategy.load_waits", extra=about)
                await asyncio.sleep(_LOAD_RETRY_S)


class RouterHost:
    """The Ray actor `router:{EXCHANGE}:{SYMBOL}`, with the name of its broker behind it if that is not the first."""

    async def __init__(self, instrument: Instrument, pools: Pools, broker: str) -> None:  # type: ignore[misc] # Ray awaits it
        configure_light_logging()
        tune()
        self._peers = peers = handles.Peers()
        self._name = names.router_name(instrument.key, pools.suffix(broker))
        self._ticks = TickSender(
            handles.own_node(),
            handles.own_host(),
            on_joined=lambda receiver: self._router.catch_up(int(receiver)),
            on_left=self._on_left,
        )
        source = lines.LinkedTickSource(peers, names.feed_name(pools.suffix(broker)), self._on_tick)
        self._changed = asyncio.Event()
        source.when_changed(self._changed.set)
        self._router = TickRouter(
            instrument,
            source=source,
            strategies=lines.LinkedTickReceivers(self._ticks, _strategy_name, peers, "take_tick"),
            mirror=handles.RayPriceMirror(peers, pools, broker),
            clock=SystemClock(),
        )
        self._renewal = asyncio.create_task(self._keep_renewing())

    def __repr__(self) -> str:
        return self._name

    async def watch(
        self, strategy_id: int, stop_loss: Paise | None, strategy: Any, node: str | None
    ) -> tuple[FeedStatus, Invitation | None]:
        """See `TickRouter.watch`; `strategy` is the handle to send ticks to as long as it has no link from `node`."""
        self._peers.meet(names.strategy_name(strategy_id), strategy)
        status = self._router.watch(strategy_id, stop_loss)
        return status, lines.invitation(self._ticks.invite, str(strategy_id), node)

    async def unwatch(self, strategy_id: int) -> None:
        """See `TickRouter.unwatch`."""
        self._router.unwatch(strategy_id)

    async def on_tick(self, tick: Tick) -> None:
        """A tick from a feed that has no link to us."""
        self._on_tick(tick)

    async def process_id(self) -> int:
        """The pid of this actor's process."""
        return os.getpid()

    def _on_tick(self, tick: Tick) -> None:
        self._router.on_tick(tick)

    def _on_left(self, receiver: str) -> None:
        asyncio.get_running_loop().call_later(_FORGET_AFTER_S, self._forget_unless_back, int(receiver))

    def _forget_unless_back(self, strategy_id: int) -> None:
        if not self._ticks.has(str(strategy_id)):
            self._router.forget_if_silent(strategy_id)

    async def _keep_renewing(self) -> None:
        while not self._router.idle:
            await self._router.renew()
            self._ticks.tell(lambda _: self._router.status)
            await lines.every_second_or_when(self._changed)
        end_own_actor()


def _strategy_name(strategy_id: int | str) -> str:
    return names.strategy_name(int(strategy_id))


def end_own_actor() -> None:
    """End this actor for good, with its process; Ray will not restart it."""
    import ray

    ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
