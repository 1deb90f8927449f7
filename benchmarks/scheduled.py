"""Orders placed by APScheduler; prints when each tag was due, in nanoseconds.

python -m benchmarks.scheduled ROOT JOBS ROUNDS
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from actors.ports.strategy import OrderCommand
from benchmarks.chains import a_command
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway


async def main() -> None:
    """All jobs of a round are due at the same instant."""
    root, jobs, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    gateways = [KiteGateway(KiteEndpoint(root), _as(number)) for number in range(jobs)]
    for gateway in gateways:
        await gateway.keep_warm()
    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.start()
    due: dict[str, int] = {}
    for number in range(rounds):
        at = datetime.now(UTC) + timedelta(seconds=0.3 + 0.005 * jobs)
        for job, gateway in enumerate(gateways):
            command = a_command(10_000 + job, number + 1)
            due[command.intent.tag] = round(at.timestamp() * 1e6) * 1000
            scheduler.add_job(_place, "date", run_date=at, args=[gateway, command], misfire_grace_time=5)
        await asyncio.sleep((at - datetime.now(UTC)).total_seconds() + 0.4)
    scheduler.shutdown()
    print(json.dumps(due))


async def _place(gateway: KiteGateway, command: OrderCommand) -> None:
    await gateway.place(command)


def _as(number: int) -> Callable[[], Awaitable[KiteCredentials]]:
    async def load() -> KiteCredentials:
        return KiteCredentials(f"sched{number:011d}", "t" * 32)

    return load


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
