"""The catalogue of faults: where each kind acts, what it does, and which fields of a fault it reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a kind of fault acts.

    ``BEFORE`` faults keep the request from being executed, ``AFTER`` faults execute it and spoil the answer,
    ``ORDER`` faults change an accepted order's way, ``BOOK`` faults what GET /orders and GET /portfolio/positions
    show, ``UPDATE`` faults the order updates on sockets, ``TICK`` faults the ticks there, ``HANDSHAKE`` faults
    refuse a socket, ``SOCKET`` faults act at once on the sockets that are open.
    """

    BEFORE = "before"
    AFTER = "after"
    ORDER = "order"
    BOOK = "book"
    UPDATE = "update"
    TICK = "tick"
    HANDSHAKE = "handshake"
    SOCKET = "socket"


@dataclass(frozen=True)
class Kind:
    """One kind. ``fields``: what it reads of a fault. ``only``: the one request that it can hit.

    ``seconds`` is the default of that field. ``lapses`` faults are taken away when ``seconds`` are over.
    """

    stage: Stage
    does: str
    fields: tuple[str, ...] = ()
    only: tuple[str, str] | None = None
    seconds: float = 5.0
    lapses: bool = False


_BOOK = ("GET", "/orders")
_POSITIONS = ("GET", "/portfolio/positions")
_REFUSAL = ("status", "error_type", "message")
_REPLY = ("status", "content_type", "body")

KINDS: dict[str, Kind] = {
    "not-accepted-hang": Kind(
        Stage.BEFORE, "no answer for `seconds`, then an HTML 504; nothing is executed", ("seconds",)
    ),
    "not-accepted-drop": Kind(Stage.BEFORE, "the connection is reset (RST); nothing is executed"),
    "not-accepted-close": Kind(Stage.BEFORE, "the connection is closed (FIN) without an answer; nothing is executed"),
    "not-accepted-reply": Kind(Stage.BEFORE, "the given answer; nothing is executed", _REPLY),
    "idle-close": Kind(
        Stage.BEFORE,
        "a kept-alive connection is closed (FIN) just as its next request comes; nothing is executed, "
        "and the first request of a connection is never hit",
    ),
    "rate-limit-429": Kind(Stage.BEFORE, "429 NetworkException; nothing is executed", ("message",)),
    "unavailable-503": Kind(Stage.BEFORE, "503 NetworkException; nothing is executed", ("message",)),
    "html-502": Kind(Stage.BEFORE, "an HTML 502; nothing is executed"),
    "token-403": Kind(Stage.BEFORE, "403 TokenException; nothing is executed", ("message",)),
    "sync-reject": Kind(
        Stage.BEFORE,
        "a refusal, by default 400 InputException; with method PUT or DELETE it refuses a modify or a cancel",
        _REFUSAL,
    ),
    "redirect": Kind(
        Stage.BEFORE, "302 (or `status`) to `location`, which answers with an invented order id", ("status", "location")
    ),
    "book-error": Kind(Stage.BEFORE, "GET /orders fails, by default with 503 NetworkException", _REFUSAL, only=_BOOK),
    "positions-error": Kind(
        Stage.BEFORE, "GET /portfolio/positions fails, by default with 503 NetworkException", _REFUSAL, only=_POSITIONS
    ),
    "accepted-hang": Kind(Stage.AFTER, "executed; the answer comes `seconds` late", ("seconds",)),
    "accepted-drop": Kind(Stage.AFTER, "executed; the connection is reset (RST) without an answer"),
    "accepted-close": Kind(Stage.AFTER, "executed; the connection is closed (FIN) without an answer"),
    "accepted-reply": Kind(Stage.AFTER, "executed; the given answer instead of the true one", _REPLY),
    "accepted-html-502": Kind(Stage.AFTER, "executed; an HTML 502"),
    "accepted-503": Kind(Stage.AFTER, "executed; 503 NetworkException"),
    "accepted-cut-body": Kind(Stage.AFTER, "executed; the connection ends in the middle of the body"),
    "accepted-bad-json": Kind(Stage.AFTER, "executed; 200 with a body that is not JSON"),
    "accepted-no-content-type": Kind(Stage.AFTER, "executed; an answer without Content-Type"),
    "accepted-timeout-400": Kind(Stage.AFTER, "executed; Kite's 400 'Order request timed out'"),
    "drip": Kind(Stage.AFTER, "executed; the body comes one byte every `seconds`", ("seconds",)),
    "late-visibility": Kind(
        Stage.ORDER,
        "GET /orders lists the order after `seconds`; with `stall` it is not processed either until then",
        ("seconds", "stall"),
    ),
    "async-reject": Kind(Stage.ORDER, "accepted with an order id, then REJECTED", ("message",)),
    "partial-fill": Kind(Stage.ORDER, "`quantity` shares fill, the rest waits for a modify", ("quantity",)),
    "park": Kind(Stage.ORDER, "stays OPEN without a fill until a modify"),
    "slow-fill": Kind(Stage.ORDER, "rests in OPEN for `seconds` before it may fill", ("seconds",)),
    "exchange-cancel": Kind(
        Stage.ORDER,
        "`quantity` shares fill, no more; `seconds` after that (0 shares: after it opened) the exchange cancels "
        "the remainder, whatever is modified meanwhile",
        ("quantity", "seconds"),
        seconds=0.0,
    ),
    "truncated-book": Kind(
        Stage.BOOK,
        "GET /orders lists the older half of the rows only; with `cut` the body breaks off in the middle",
        ("cut",),
        only=_BOOK,
    ),
    "stale-book": Kind(
        Stage.BOOK,
        "GET /orders answers as of `seconds` ago: later orders are missing, the others have their status of then",
        ("seconds",),
        only=_BOOK,
    ),
    "stale-positions": Kind(
        Stage.BOOK,
        "GET /portfolio/positions answers as of `seconds` ago: later fills are missing",
        ("seconds",),
        only=_POSITIONS,
    ),
    "duplicate-updates": Kind(Stage.UPDATE, "an order update is sent twice"),
    "delay-updates": Kind(Stage.UPDATE, "an order update is sent `seconds` late", ("seconds",)),
    "reorder-updates": Kind(
        Stage.UPDATE,
        "updates are held back and sent latest first, `seconds` after the first of them",
        ("seconds",),
        seconds=0.5,
    ),
    "drop-updates": Kind(Stage.UPDATE, "an order update is lost"),
    "ws-mute": Kind(
        Stage.UPDATE,
        "for `seconds` sockets get heartbeats and ticks but no order updates; `times` does not count",
        ("seconds",),
        lapses=True,
    ),
    "ws-drop-ticks": Kind(
        Stage.TICK,
        "for `seconds` sockets get heartbeats and order updates but no ticks; `times` does not count",
        ("seconds",),
        lapses=True,
    ),
    "ws-refuse": Kind(Stage.HANDSHAKE, "a socket is refused with 403"),
    "ws-freeze": Kind(
        Stage.SOCKET, "sockets stay open for `seconds` without a byte, then they are reset", ("seconds",)
    ),
    "ws-abort": Kind(Stage.SOCKET, "sockets are reset"),
    "ws-malformed": Kind(Stage.SOCKET, "a binary frame that cannot be parsed"),
    "ws-error": Kind(Stage.SOCKET, "a text frame of type error", ("message",)),
    "ws-message": Kind(Stage.SOCKET, "a text frame of type message", ("message",)),
    "ws-text": Kind(Stage.SOCKET, "a text frame that is exactly `message`", ("message",)),
}
