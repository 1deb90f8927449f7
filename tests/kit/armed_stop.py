"""A stop-loss as a strategy arms execution with it, on an account whose stream is heard."""

from dataclasses import replace

from actors.ports.strategy import Holding, StopOrder
from tests.kit.builders import INFY, NOW
from tests.kit.execution import HOLDING, ExecutionBench, a_command, a_sell, guarded

ABOVE, STOP, BELOW = 150000, 145000, 144000


def a_stop(level: int = STOP, *, epoch: int = 1, seq: int = 1, token: int | None = INFY.token) -> StopOrder:
    command = a_command(a_sell(seq=seq), epoch=epoch, stake=HOLDING.stake)
    return StopOrder(command, "paper", level, NOW, token=token, token_heard_at=NOW if token else None)


def a_holding(stop: StopOrder | None, *, number: int = 1, epoch: int = 1) -> Holding:
    return replace(HOLDING, epoch=epoch, stop=stop, hears=True, number=number)


async def watched() -> ExecutionBench:
    bench = await guarded(ExecutionBench())
    bench.updates.reconnect(2)
    return bench


def fall(bench: ExecutionBench, price: int = BELOW) -> None:
    bench.updates.tick(2, price, bench.clock.now())
