"""Nodes that are being emptied (`tradeactors drain`): no actor of ours begins there while another node may have it.

The marks are in the store of Ray's head, by the ids that Ray gives its nodes: a node that is started again is another
one, and has none. Ray's own `drain_node` would not do: it cannot be taken back, and a node that it marks ends itself as
soon as the last actor has left, under an API process that belongs to it.
"""

from collections.abc import Collection
from typing import Any

from ray.exceptions import RayError
from ray.experimental import internal_kv

_NAMESPACE = b"tradeactors"
_PREFIX = b"emptied:"
_AT_WORK = b"emptying:"
_TIMEOUT_S = 5

_NODE_ID = "ray.io/node-id"
"""The label that Ray gives each node."""

_ANYWHERE = [{"label_selector": {_NODE_ID: "!none"}}]
"""No node has this id."""


def mark(node_id: str) -> None:
    """Let no actor begin there from now on. Raises RayError: the head does not answer."""
    _store().internal_kv_put(_PREFIX + node_id.encode(), b"1", True, _NAMESPACE, _TIMEOUT_S)


def head_answers() -> bool:
    """Whether Ray's head answers now."""
    try:
        marked()
    except RayError:
        return False
    return True


def unmark(node_id: str) -> None:
    """Let actors begin there again. Raises RayError."""
    _store().internal_kv_del(_PREFIX + node_id.encode(), False, _NAMESPACE, _TIMEOUT_S)


def marked() -> frozenset[str]:
    """The ids of the nodes with a mark. Raises RayError."""
    keys: list[bytes] = _store().internal_kv_keys(_PREFIX, _NAMESPACE, _TIMEOUT_S)
    return frozenset(key.removeprefix(_PREFIX).decode() for key in keys)


def begin(job_id: str, what: str) -> None:
    """Say that this job of Ray empties a node, and which. Raises RayError."""
    _store().internal_kv_put(_AT_WORK + job_id.encode(), what.encode(), True, _NAMESPACE, _TIMEOUT_S)


def end(job_id: str) -> None:
    """It does not any more. Raises RayError."""
    _store().internal_kv_del(_AT_WORK + job_id.encode(), False, _NAMESPACE, _TIMEOUT_S)


def at_work() -> dict[str, str]:
    """The jobs that have said so, those that have died since included, and what each empties. Raises RayError."""
    store = _store()
    keys: list[bytes] = store.internal_kv_keys(_AT_WORK, _NAMESPACE, _TIMEOUT_S)
    found = {key: store.internal_kv_get(key, _NAMESPACE, _TIMEOUT_S) for key in keys}
    return {key.removeprefix(_AT_WORK).decode(): what.decode() for key, what in found.items() if what is not None}


def placement(avoided: Collection[str]) -> dict[str, Any]:
    """Options of an actor that begins on none of these nodes, unless no other node can have it."""
    if not avoided:
        return {}
    others = f"!in({','.join(sorted(avoided))})"
    return {
        "label_selector": {_NODE_ID: others},
        "fallback_strategy": _ANYWHERE,
    }


def rather_on(node_id: str) -> dict[str, Any]:
    """Options of an actor that begins on this node, unless it is gone: then on any."""
    return {"label_selector": {_NODE_ID: node_id}, "fallback_strategy": _ANYWHERE}


def _store() -> Any:
    return internal_kv.internal_kv_get_gcs_client()  # type: ignore[no-untyped-call]
