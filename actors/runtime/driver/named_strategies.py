"""The actors of strategies by their names; each call may wait for Ray's head, so make it in a thread."""

import contextlib
from typing import Any

import ray
from ray.exceptions import RayError

from actors.runtime import names


def actor(name: str) -> Any:
    """Raises ValueError: there is none. RayError: the head does not answer."""
    return ray.get_actor(name, namespace=names.NAMESPACE)


def found(strategy_ids: set[int]) -> dict[int, Any]:
    """Their actors, but of those that have just ended, and of those of which the head does not tell now."""
    actors = {}
    for strategy_id in strategy_ids:
        with contextlib.suppress(ValueError, RayError):
            actors[strategy_id] = actor(names.strategy_name(strategy_id))
    return actors


def end(name: str) -> None:
    """End it for good. Raises as `actor`."""
    ray.kill(actor(name), no_restart=True)
