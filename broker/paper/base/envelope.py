"""Kite's JSON envelopes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from broker.paper.base.errors import KiteError


def _json(status: int, body: dict[str, Any]) -> Response:
    # Compact, and never NaN: the client parses with a strict JSON reader.
    content = json.dumps(body, separators=(",", ":"), allow_nan=False)
    return Response(content, status_code=status, media_type="application/json")


def success(data: Any) -> Response:
    """``{"status": "success", "data": ...}``; the client returns ``data`` only."""
    return _json(200, {"status": "success", "data": data})


def failure(error: KiteError) -> Response:
    """The error envelope: the client needs ``message`` and ``error_type`` to be there, and ``data`` is null."""
    return _json(
        error.status,
        {"status": "error", "message": error.message, "data": None, "error_type": error.error_type},
    )
