"""A process of the API says that it runs, so that an operator sees it, and which nodes are being emptied
(`persistence.mirror.presence`)."""

import asyncio
import contextlib
import os
import socket

from actors.ports.engine import EngineUnavailable, StrategyEngine
from persistence.errors import MirrorUnavailable
from persistence.mirror.presence import MirroredPresence, keep_present

_EMPTIED_EVERY_S = 10.0
"""How often the marks of nodes are looked at."""


async def keep_api_present(mirror: MirroredPresence) -> None:
    """Say so until cancelled; a process that ends as it should is not missed afterwards."""
    host, pid = socket.gethostname(), os.getpid()
    name = f"api:{host}:{pid}"
    try:
        await keep_present(mirror, name, host, pid)
    finally:
        with contextlib.suppress(MirrorUnavailable):
            await mirror.forget_presence(name)


async def keep_emptied_shown(engine: StrategyEngine, mirror: MirroredPresence) -> None:
    """Show, until cancelled, on which nodes no actor begins: a mark may be forgotten. What fails is done again."""
    while True:
        with contextlib.suppress(EngineUnavailable, MirrorUnavailable):
            await mirror.show_emptied(await engine.emptied_nodes())
        await asyncio.sleep(_EMPTIED_EVERY_S)
