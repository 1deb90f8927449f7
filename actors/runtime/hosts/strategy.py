"""The Ray actor of a strategy, one for each that runs.

It builds its ports in its own process and gives Ray something to call. This module imports no large library: what
it costs, every strategy costs.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from actors.domain.money import Paise
from actors.domain.prices.tick import Tick
from actors.domain.strategy.events import Event, StopRequested, TickReceived
from actors.domain.strategy.snapshot import RuntimeView, runtime_view
from actors.ports.common import PeerUnavailable
from actors.ports.engine import WordTaken
from actors.ports.strategy import LoadedRun
from actors.runtime import names, ray_ports
from actors.runtime.clock import SystemClock
from actors.runtime.hosts.crash_guard import CRASHES_OF_A_PROCESS, AlertsOnce, CrashPauses
from actors.runtime.hosts.light_logging import configure_light_logging
from actors.runtime.hosts.process_tuning import Niceness, end_own_actor, tune
from actors.runtime.hosts.router import create_router
from actors.runtime.names import Pools
from actors.runtime.peers import Peers, own_node
from actors.runtime.plane import linked_orders, linked_ticks
from actors.strategy.moving import AT_WORK, LOADING, Standing
from actors.strategy.shell import StrategyShell
from actors.waiting import until_answered

log = logging.getLogger(__name__)

T = TypeVar("T")

_LOAD_RETRY_S = 0.5

_GONE_WITHIN_S = 5.0
"""How long a process that has left its run is still here at most: it guards nothing any more."""


class Ready(NamedTuple):
    """The run that a strategy's actor serves, its node, and whether this is the first question to its process."""

    run_id: int
    node_id: str
    is_new: bool


class StrategyActor:
    """The Ray actor `strategy:{id}`: loads its run, serves it, and ends its own process when the run is over.

    Ray runs `__init__` again in a new process after a crash; recovery is nothing else than starting.
    """

    async def __init__(  # type: ignore[misc] # Ray awaits it
        self, run_id: int, strategy_id: int, pools: Pools, label: str = ""
    ) -> None:
        """`label`: what is fixed for the run, for those who look at the dashboard (`spec.run_label`)."""
        configure_light_logging()
        tune(Niceness.STRATEGY)
        self._label = label
        about = {"strategy_id": strategy_id, "run_id": run_id, "label": label}
        log.info("strategy.actor_began", extra={**about, "timeline": f"tradeactors why {strategy_id}"})
        self._run_id = run_id
        self._strategy_id = strategy_id
        self._pools, self._peers = pools, (peers := Peers())
        self._journal = AlertsOnce(ray_ports.RayJournal(peers, pools, strategy_id), time.monotonic)
        self._execution = linked_orders.LinkedOrderExecution(peers, pools, strategy_id, self._on_report)
        self._is_new = True
        self._first_loaded = asyncio.Event()
        self._begin_incarnation()
        self._crashes, self._owner, self._stop_wanted = CrashPauses(), 0, False
        self._panicked: set[int] = set()
        self._being_called = 0
        self._running = asyncio.create_task(self._run())

    def __repr__(self) -> str:
        """Ray asks once, when the actor has begun: what changes later is not in it, and nothing of the user is."""
        return f"{names.strategy_name(self._strategy_id)} {self._label}".strip()

    async def ready(self) -> Ready:
        """Answers once the run is loaded."""
        await self._first_loaded.wait()
        await self._never_if_left()
        is_new, self._is_new = self._is_new, False
        return Ready(self._run_id, own_node(), is_new)

    async def take_event(self, event: Event) -> None:
        """An event from execution."""
        actor = await asyncio.shield(self._loaded)
        if actor is not None and actor.leaving.left:
            raise PeerUnavailable(f"strategy {self._strategy_id} goes on in another process")
        if actor is not None:
            actor.post(event)

    async def take_tick(self, tick: Tick) -> None:
        """A tick from a router that has no link to us."""
        self._on_tick(tick)

    async def stop(self, timeout_s: float, run_id: int | None = None) -> bool | None:
        """STOP; whether the run is over and recorded, or None if this actor serves another run than is meant."""
        if run_id not in (None, self._run_id):
            return None
        self._stop_wanted = True
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    stopping = self._of_this_incarnation(lambda actor: actor.stop(timeout_s))
                    with contextlib.suppress(PeerUnavailable):  # it crashed: the next incarnation hears it, too
                        return await stopping is not False
        except TimeoutError:
            await self._never_if_left()
            return False

    async def stop_if_of(self, user_id: int) -> bool:
        """A user's panic: STOP, if this strategy is his; whether it is. It waits for nothing.

        One whose run is not loaded yet, or is loaded again after a crash, finds out when it is.
        """
        self._panicked.add(user_id)
        if self._owner != user_id:
            return False
        self._stop_wanted = True
        if self._loaded.done() and (actor := self._loaded.result()) is not None:
            await self._never_if_left()
            actor.post(StopRequested())
        return True

    async def move_stop(self, stop_loss: Paise, stop_share: int | None = None) -> bool | None:
        return await self._of_this_incarnation(lambda actor: actor.move_stop(stop_loss, stop_share))

    async def ask_broker_now(self) -> None:
        if self._loaded.done() and (actor := self._loaded.result()) is not None:
            actor.ask_broker_now()

    async def closed_by_trader(self, timeout_s: float) -> WordTaken:
        taken = await self._of_this_incarnation(lambda actor: actor.closed_by_trader(timeout_s))
        return taken or WordTaken(done=False)

    async def standing(self) -> Standing:
        """How this strategy stands to being moved to another node; execution is asked again what it watches."""
        if not self._loaded.done() or (actor := self._loaded.result()) is None:
            return Standing(self._run_id, own_node(), holds=True, well=False, hindered=LOADING)
        await self._never_if_left()
        await actor.leaving.renew_guard()
        hindered = AT_WORK if self._being_called else actor.leaving.hindered
        holds = actor.state.open_quantity > 0
        return Standing(self._run_id, own_node(), holds=holds, well=actor.leaving.well, hindered=hindered)

    async def leave(self, run_id: int, timeout_s: float) -> str | None:
        """End this actor without ending its run, which goes on in the next one under its name, as after a crash.

        None, or the end of the process in place of an answer: it has begun. Otherwise why not now.
        """
        if run_id != self._run_id:
            return "it has begun another run"
        if self._being_called:
            return AT_WORK
        if not self._loaded.done() or (actor := self._loaded.result()) is None:
            return LOADING
        return await actor.leaving.leave(timeout_s, lambda: self._being_called > 0)

    async def view(self) -> RuntimeView | None:
        """What the strategy says of itself now, for operators."""
        actor = await asyncio.shield(self._loaded)
        return runtime_view(actor.state) if actor is not None else None

    async def until_gone(self) -> None:
        """Never answers: the call fails in the moment in which this actor ends."""
        await asyncio.Event().wait()

    async def _never_if_left(self) -> None:
        """Never return once the run has been left: a caller hears that this process ends, and asks the next one."""
        if self._loaded.done() and (actor := self._loaded.result()) is not None and actor.leaving.left:
            await self.until_gone()

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

    def _begin_incarnation(self) -> None:
        loop = asyncio.get_running_loop()
        self._loaded: asyncio.Future[StrategyShell | None] = loop.create_future()
        self._broken = asyncio.Event()

    async def _of_this_incarnation(self, call: Callable[[StrategyShell], Awaitable[T]]) -> T | None:
        """The answer of the strategy; None if its run is over. Raises PeerUnavailable if it crashes meanwhile."""
        broken = self._broken
        actor = await asyncio.shield(self._loaded)
        if actor is None:
            return None
        await self._never_if_left()
        self._being_called += 1
        answer, broke = asyncio.ensure_future(call(actor)), asyncio.create_task(broken.wait())
        try:
            await asyncio.wait([answer, broke], return_when=asyncio.FIRST_COMPLETED)
            if broke.done():
                raise PeerUnavailable(f"strategy {self._strategy_id} is restarting")
            return await answer
        finally:
            self._being_called -= 1
            answer.cancel()
            broke.cancel()

    async def _run(self) -> None:
        """Serve the run; an incarnation that crashes is followed by another, in which recovery guards the position."""
        while True:
            began = time.monotonic()
            try:
                await self._run_once()
                break
            except Exception:  # whatever broke, a bug of ours included: a position that is open must be guarded again
                log.exception("strategy.crashed", extra={"strategy_id": self._strategy_id, "run_id": self._run_id})
            if self._loaded.done():
                self._broken.set()
            pause_s = self._crashes.after(time.monotonic() - began)
            telling = asyncio.create_task(self._tell_of_crashes())
            if self._loaded.done():
                self._begin_incarnation()
            await asyncio.sleep(pause_s)
            telling.cancel()
            if self._crashes.crashes >= CRASHES_OF_A_PROCESS:
                os._exit(1)
        if (actor := self._loaded.result()) is not None and actor.leaving.left:
            # if Ray's head does not hear that this actor is to end, it begins again after that, and guards its run
            threading.Timer(_GONE_WITHIN_S, os._exit, (1,)).start()
        end_own_actor()

    async def _run_once(self) -> None:
        loaded = await self._load()
        if loaded is None:
            self._set_loaded(None)
            return
        self._owner = loaded.run.user_id
        prices = linked_ticks.LinkedPriceWatch(
            self._peers, self._pools, loaded.run.broker, self._on_tick, create_router
        )
        actor = StrategyShell(
            loaded, execution=self._execution, journal=self._journal, prices=prices, clock=SystemClock()
        )
        if self._stop_wanted or self._owner in self._panicked:
            actor.post(StopRequested())
        self._set_loaded(actor)
        linking = asyncio.create_task(self._execution.keep_linked(loaded.run.account_id))
        try:
            if not await actor.run():
                os._exit(1)  # a newer incarnation has this actor's id too: killing by handle would kill that one
        finally:
            linking.cancel()

    def _set_loaded(self, actor: StrategyShell | None) -> None:
        self._loaded.set_result(actor)
        self._first_loaded.set()

    async def _tell_of_crashes(self) -> None:
        if self._crashes.in_a_row:
            message = "The strategy crashes again and again; between two crashes it guards its position"
            with contextlib.suppress(PeerUnavailable):
                about = f"run:{self._run_id}"
                await self._journal.alert(self._owner, self._strategy_id, "strategy_crashing", message, about)

    async def _load(self) -> LoadedRun | None:
        def say(error: PeerUnavailable) -> None:
            log.warning("strategy.load_waits", extra={"strategy_id": self._strategy_id, "reason": str(error)})

        return await until_answered(lambda: self._journal.load(self._run_id), _LOAD_RETRY_S, say)
