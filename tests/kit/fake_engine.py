"""An engine without Ray: remembers what it was asked, and records ends through the real ledger."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from api.engine_port import EngineUnavailable, RecoveryReport, StopResult
from persistence.ledger import RunLedger
from persistence.records import RunRuntime, RunUpdate


@dataclass
class FakeEngine:
    """Implements `api.engine_port.StrategyEngine`. `up` and `flat_on_stop` are set by tests."""

    ledger: RunLedger | None = None
    up: bool = True
    flat_on_stop: bool = True
    running: dict[int, int] = field(default_factory=dict)
    ensured: list[tuple[int, int]] = field(default_factory=list)
    moved: list[tuple[int, int]] = field(default_factory=list)
    stop_timeouts: list[float] = field(default_factory=list)
    swept: asyncio.Event = field(default_factory=asyncio.Event)

    async def ensure_running(self, run_id: int, strategy_id: int) -> None:
        """One entry per strategy, however often it is called."""
        self._check()
        self.ensured.append((run_id, strategy_id))
        self.running[strategy_id] = run_id

    async def stop(self, strategy_id: int, timeout_s: float) -> StopResult:
        """Sold at once, or still selling, as the test wants it."""
        self._check()
        self.stop_timeouts.append(timeout_s)
        if not self.flat_on_stop:
            return StopResult(flat=False, status={"position": "selling", "message": "Selling"})
        await self.end(self.running.pop(strategy_id), position="sold", message="Stopped", delete_mirror=True)
        return StopResult(flat=True)

    async def end(self, run_id: int, *, position: str, message: str, delete_mirror: bool = False) -> None:
        """Record the end of a run, as a strategy actor would."""
        assert self.ledger is not None
        run = await self.ledger.load_run(run_id)
        runtime = RunRuntime(
            status="stopped",
            position=position,
            status_detail="",
            last_action="SELL",
            message=message,
            stop_loss_paise=run.stop_loss_paise,
            filled_quantity=run.quantity,
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
            ended=True,
            delete_mirror=delete_mirror,
        )
        await self.ledger.record(update)

    async def move_stop(self, strategy_id: int, stop_loss_paise: int) -> None:
        """Remembered."""
        self._check()
        self.moved.append((strategy_id, stop_loss_paise))

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
