"""A sign every minute that the engine can trade: who waits for it hears when no process can give it any more.

Alerts say what is wrong as long as something of the deployment is left to say it. This is for the rest: a machine that
is off, a network that is cut, a database that is full. The service at `HEARTBEAT_URL` raises the alarm.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
import structlog

from api.overview.facts import Facts
from api.overview.figures import figures_of, unguarded_seconds
from api.overview.looking import RecentFacts
from api.readiness.findings import Fault
from api.readiness.operator import OperatorChecks
from config.settings import Settings

log = structlog.stdlib.get_logger(__name__)

EVERY_S = 60.0
"""How often a process gives its sign, and writes its figures."""

_ANSWER_S = 10.0

_HARMLESS = frozenset({"readiness_disk"})
"""Faults with which the engine trades on."""

_NAMESPACE = "TradeActors"


def reasons_not_to(facts: Facts, faults: Sequence[Fault]) -> list[str]:
    """Why the engine cannot trade; nothing if it can."""
    reasons = [fault.code for fault in faults if fault.code not in _HARMLESS]
    if facts.database is None:
        reasons.append("database")
    if facts.mirror is None:
        return [*reasons, "redis"]
    running = {presence.name for presence in facts.mirror.presences if not presence.silent}
    return [*reasons, *(name for name in facts.expected if name not in running)]


def metric_line(facts: Facts) -> dict[str, Any]:
    """The figures that an alarm needs, in CloudWatch's embedded metric format. What is not known is left out."""
    figures = figures_of(facts)
    values: Mapping[str, float | None] = {
        "RunningStrategies": figures["running"],
        "PositionsHeld": figures["holding"],
        "PositionsNotGuarded": figures["not_guarded"],
        "UnguardedSeconds": None if facts.mirror is None else unguarded_seconds(facts),
        "ExitsFailed": figures["exit_failed"],
        "OrdersQueued": figures["orders_queued"],
        "NoticesWaiting": figures["notices_waiting"],
        "SchedulesMissed": figures["schedules_missed_today"],
        "DatabaseUp": float(facts.database is not None),
        "RedisUp": float(facts.mirror is not None),
    }
    known = {name: value for name, value in values.items() if value is not None}
    metrics = [{"Name": name, "Unit": "Seconds" if name.endswith("Seconds") else "Count"} for name in known]
    directive = {"Namespace": _NAMESPACE, "Dimensions": [[]], "Metrics": metrics}
    return {"_aws": {"Timestamp": _milliseconds(facts.at), "CloudWatchMetrics": [directive]}, **known}


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


class Heartbeat:
    """The signs of one process. Those of several are one: the alarm is raised when none of them comes."""

    def __init__(self, settings: Settings, recent: RecentFacts, operator: OperatorChecks) -> None:
        self._url = settings.heartbeat_url.get_secret_value()
        self._writes_metrics = settings.log_metrics == "cloudwatch"
        self._recent, self._operator = recent, operator

    async def keep_beating(self, every_s: float = EVERY_S) -> None:
        """Until cancelled."""
        while self._url or self._writes_metrics:
            await asyncio.sleep(every_s)
            try:
                await self.beat()
            except Exception:  # whatever broke one sign must not end all later ones
                log.exception("heartbeat.broke")

    async def beat(self) -> bool:
        """Give the sign if the engine can trade; whether it was given and taken."""
        facts = await self._recent.facts()
        if self._writes_metrics:
            log.info("figures", **metric_line(facts))
        reasons = reasons_not_to(facts, await self._operator.faults())
        if reasons:
            log.warning("heartbeat.kept_back", reasons=reasons)
        return not reasons and bool(self._url) and await self._give()

    async def _give(self) -> bool:
        try:
            async with httpx.AsyncClient(timeout=_ANSWER_S) as client:
                answer = await client.get(self._url)
        except httpx.HTTPError as error:
            log.warning("heartbeat.not_taken", error=type(error).__name__)
            return False
        if not answer.is_success:
            log.warning("heartbeat.not_taken", status=answer.status_code)
        return answer.is_success
