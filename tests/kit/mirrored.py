"""What Redis has of a strategy, key by key. The product itself reads whole statuses."""

from collections.abc import Mapping
from typing import Any

from persistence.mirror.keys import runtime_key, strategy_key, symbol_key
from persistence.mirror.mirror import RuntimeMirror


async def strategy_of(mirror: RuntimeMirror, strategy_id: int) -> dict[str, str]:
    """`strategy:{id}`, empty if it does not run."""
    return _text(await mirror._redis.hgetall(strategy_key(strategy_id)))


async def runtime_of(mirror: RuntimeMirror, strategy_id: int) -> dict[str, str]:
    """`runtime:{id}`, empty if there is none."""
    return _text(await mirror._redis.hgetall(runtime_key(strategy_id)))


async def running_of(mirror: RuntimeMirror, symbol: str) -> set[int]:
    """Ids in `symbol:{symbol}:strategies`."""
    return {int(member) for member in await mirror._redis.smembers(symbol_key(symbol))}


def _text(answer: Mapping[Any, Any]) -> dict[str, str]:
    return dict(answer)  # text already, because the client decodes
