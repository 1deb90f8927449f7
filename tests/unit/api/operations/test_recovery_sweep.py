"""The recovery sweep goes on whatever one sweep meets, and says when recovery is complete (row J1)."""

import asyncio

from structlog.testing import capture_logs

from actors.ports.engine import EngineUnavailable, RecoveryReport
from api.base.metrics import Metrics
from api.operations.recovery_sweep import keep_recovering
from tests.kit.fakes.strategy_engine import FakeEngine


class SweptEngine(FakeEngine):
    """Answers sweeps from a list, then says that the list is through."""

    def __init__(self, *answers: RecoveryReport | Exception) -> None:
        super().__init__()
        self._answers = list(answers)

    async def recover(self) -> RecoveryReport:
        if not self._answers:
            self.swept.set()
            return RecoveryReport(found=0, recovered=0)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def events_of(engine: SweptEngine, metrics: Metrics) -> list[tuple[str, int | None]]:
    with capture_logs() as logs:
        sweep = asyncio.create_task(keep_recovering(engine, metrics, every_s=0))
        await asyncio.wait_for(engine.swept.wait(), 5)
        sweep.cancel()
        await asyncio.gather(sweep, return_exceptions=True)
    return [(line["event"], line.get("recovered")) for line in logs]


async def test_failures_do_not_end_the_sweeping() -> None:
    metrics = Metrics()
    engine = SweptEngine(
        EngineUnavailable(), RecoveryReport(found=3, recovered=2, failed=1), RecoveryReport(found=3, recovered=1)
    )
    assert await events_of(engine, metrics) == [
        ("recovery_failed", None),
        ("recovery_incomplete", 2),
        ("Recovery Complete", 1),
    ]
    assert "tradeactors_recovered_runs_total 3.0" in metrics.text().decode()
    assert "tradeactors_recovery_failures_total 2.0" in metrics.text().decode()


async def test_an_idle_sweep_is_said_once() -> None:
    quiet = RecoveryReport(found=0, recovered=0)
    assert await events_of(SweptEngine(quiet, quiet, quiet), Metrics()) == [("Recovery Complete", 0)]
