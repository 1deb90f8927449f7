"""The recovery sweep: every open run has its actor, at the start and ever after (row J1)."""

import asyncio

import structlog

from actors.ports.engine import StrategyEngine
from api.base.metrics import Metrics

log = structlog.stdlib.get_logger(__name__)

SWEEP_SECONDS = 5.0


async def keep_recovering(engine: StrategyEngine, metrics: Metrics, every_s: float = SWEEP_SECONDS) -> None:
    """Sweep until cancelled. Logs "Recovery Complete" after the first sweep that left nothing behind."""
    complete = False
    while True:
        try:
            report = await engine.recover()
        except Exception as error:  # noqa: BLE001 - whatever broke one sweep must not end all later ones
            log.warning("recovery_failed", error=type(error).__name__, reason=str(error))
            metrics.sweep_done(recovered=0, failed=1)
        else:
            metrics.sweep_done(report.recovered, report.failed)
            if not complete or report.recovered or report.failed:
                event = "recovery_incomplete" if report.failed else "Recovery Complete"
                log.info(event, found=report.found, recovered=report.recovered, failed=report.failed)
            complete = complete or not report.failed
        await asyncio.sleep(every_s)
