"""An engine without Ray: remembers what it was asked, and records what comes of it through the real ledger."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from actors.domain.orders.order_address import SeenAddress
from actors.ports.engine import EngineUnavailable, RecoveryReport, StopResult, WordTaken
from persistence.journal.ledger import RunLedger
from persistence.journal.records import RunRuntime, RunUpdate


@dataclass
class FakeEngine:
    """Implements `actors.ports.engine.StrategyEngine`. `up` and `flat_on_stop` are set by tests."""

    ledger: RunLedger | None = None
    up: bool = True
    flat_on_stop: bool = True
    running: dict[int, int] = field(default_factory=dict)
    expected: list[int] = field(default_factory=list)
    asked_broker: list[int] = field(default_factory=list)
    ensured: list[tuple[int, int]] = field(default_factory=list)
    word: WordTaken = field(default_factory=lambda: WordTaken(done=True, held=10))
    words: list[tuple[str, int]] = field(default_factory=list)
    moved: list[tuple[int, int]] = field(default_factory=list)
    confirms: bool | None = None
    stop_timeouts: list[float] = field(default_factory=list)
    forbidden: list[int] = field(default_factory=list)
    panicked: list[int] = field(default_factory=list)
    reached: frozenset[int] = frozenset()
    shares: dict[tuple[str, str, str], int] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    leaves_from: list[SeenAddress] = field(default_factory=list)
    swept: asyncio.Event = field(default_factory=asyncio.Event)
    inbox: asyncio.Lock = field(default_factory=asyncio.Lock)

    def expect_start(self, strategy_id: int) -> None:
        """Remembered."""
        self.expected.append(strategy_id)

    def ask_broker_now(self, strategy_ids: Collection[int]) -> None:
        """Remembered."""
        self.asked_broker += strategy_ids

    async def ensure_running(self, run_id: int, strategy_id: int, label: str = "") -> None:
        """One entry per strategy, however often it is called."""
        self._check()
        self.ensured.append((run_id, strategy_id))
        self.running[strategy_id] = run_id

    async def stop(self, run_id: int, strategy_id: int, timeout_s: float) -> StopResult:
        """Sold at once, or still selling, as the test wants it."""
        self._check()
        self.stop_timeouts.append(timeout_s)
        if not self.flat_on_stop:
            return StopResult(flat=False, status={"position": "selling", "message": "Selling"})
        async with self.inbox:
            if await self._open_run(strategy_id) == run_id:
                await self.end(run_id, position="sold", message="Stopped", delete_mirror=True)
        self.running.pop(strategy_id, None)
        return StopResult(flat=True)

    async def forbid_entries(self, user_id: int) -> bool:
        """Remembered, if it is up."""
        if self.up:
            self.forbidden.append(user_id)
        return self.up

    async def stop_all_of(self, user_id: int) -> frozenset[int]:
        """Remembered; those whom the test lets it reach."""
        self.panicked.append(user_id)
        return self.reached

    async def account_shares(self, account_id: int) -> Mapping[tuple[str, str, str], int]:
        """What the test says."""
        self._check()
        return self.shares

    async def order_addresses(self) -> Sequence[SeenAddress]:
        """What the test says."""
        return self.leaves_from

    async def silent_gateways(self) -> tuple[Sequence[str], int]:
        """What the test says, of two."""
        return self.silent, 2

    async def emptied_nodes(self) -> Sequence[str]:
        """What the test says."""
        self._check()
        return self.emptied

    async def end(self, run_id: int, *, position: str, message: str, delete_mirror: bool = False) -> None:
        """Record the end of a run, as a strategy actor would."""
        await self._record(run_id, position=position, message=message, ended=True, delete_mirror=delete_mirror)

    async def move_stop(self, strategy_id: int, stop_loss_paise: int, stop_share: int | None = None) -> bool | None:
        """Remembered, and recorded if the strategy runs; what `confirms` says."""
        self._check()
        async with self.inbox:
            run_id = await self._open_run(strategy_id)
            if run_id is not None:
                await self._record(run_id, message="Waiting to buy", stop_loss_paise=stop_loss_paise, share=stop_share)
            self.moved.append((strategy_id, stop_loss_paise))
        return self.confirms

    async def closed_by_trader(self, run_id: int, strategy_id: int, timeout_s: float) -> WordTaken:
        """As `word` says; a word that is taken ends the run. Of a run that has ended it is taken without a trace."""
        self._check()
        open_run = await self._open_run(strategy_id)
        if self.word.done and open_run is not None:
            await self.end(open_run, position="sold", message="Position was closed outside TradeActors")
            self.running.pop(strategy_id, None)
        self.words.append(("closed", run_id))
        return self.word

    async def held_by_trader(self, run_id: int, strategy_id: int) -> WordTaken:
        """As `word` says."""
        self._check()
        if self.word.done:
            self.running[strategy_id] = run_id
        self.words.append(("held", run_id))
        return self.word

    async def _open_run(self, strategy_id: int) -> int | None:
        assert self.ledger is not None
        runs = await self.ledger.running_runs()
        return next((run_id for run_id, owner in runs if owner == strategy_id), None)

    async def _record(
        self,
        run_id: int,
        *,
        message: str,
        position: str = "none",
        stop_loss_paise: int | None = None,
        share: int | None = None,
        ended: bool = False,
        delete_mirror: bool = False,
    ) -> None:
        assert self.ledger is not None
        run = await self.ledger.load_run(run_id)
        runtime = RunRuntime(
            status="stopped" if ended else "running",
            position=position,
            status_detail="",
            last_action="SELL" if ended else "START",
            message=message,
            stop_loss_paise=run.stop_loss_paise if stop_loss_paise is None else stop_loss_paise,
            stop_share=run.stop_share if stop_loss_paise is None else share,
            filled_quantity=run.quantity if ended else 0,
            updated_at=datetime.now(UTC),
        )
        update = RunUpdate(
            run_id=run_id,
            strategy_id=run.strategy_id,
            user_id=run.user_id,
            epoch=run.epoch,
            symbol=run.tradingsymbol,
            runtime=runtime,
            state={},
            ended=ended,
            delete_mirror=delete_mirror,
        )
        await self.ledger.record(update)

    async def recover(self) -> RecoveryReport:
        """Nothing to do, but noticed."""
        self._check()
        self.swept.set()
        return RecoveryReport(found=0, recovered=0)

    async def health(self) -> dict[str, object]:
        """Up or not."""
        self._check()
        return {"strategies": len(self.running)}

    async def close(self) -> None:
        """Nothing is held."""

    def _check(self) -> None:
        if not self.up:
            raise EngineUnavailable
