"""A process that waits beside an execution actor, with all imports done, for the moment in which that actor dies.

Ray restarts an actor within a tenth of a second if an idle worker of its runtime environment is there; the imports of
execution alone would take most of a second, and as long would a breached stop-loss wait. So execution has a runtime
environment of its own (`actor_options`), and asks for one more such worker.
"""

import asyncio

import grpc
import ray
import structlog
from ray.exceptions import RayError

from actors.runtime.idle_workers import prestart
from actors.runtime.peers import own_node

log = structlog.get_logger(__name__)

_KEEP_S = 8 * 3600
"""Longer than a session of the exchange."""

_SETTLE_S = 2.0
"""An actor that has just restarted may have exits to send first. No longer: if it dies again, it starts without."""

_AGAIN_S = 30.0


async def keep_spare() -> None:
    """Have one spare process on this node for this actor's next incarnation, for as long as this one is there."""
    await asyncio.sleep(_SETTLE_S)
    while True:
        try:
            await asyncio.to_thread(_ask)
        except (RayError, ConnectionError, grpc.RpcError) as error:
            log.warning("spare_process.not_begun", reason=repr(error))
            await asyncio.sleep(_AGAIN_S)
        else:
            await asyncio.sleep(_KEEP_S)


def _ask() -> None:
    (node,) = (node for node in ray.nodes() if node["NodeID"] == own_node())  # type: ignore[no-untyped-call]
    environment: str = ray.get_runtime_context().get_runtime_env_string()  # type: ignore[no-untyped-call]
    prestart(node, 1, _KEEP_S, environment)
