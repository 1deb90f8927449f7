"""The exchange's own memory: an append-only journal, and the log of order requests that judges its clients.

The journal is JSON lines, one fact a line, replayed at start so that accounts, orders and trades outlive a restart.
It is written to the page cache without fsync: it survives a kill of the process, which is what the tests do.

While the journal cannot be written (a full disk), what has happened already goes on, and is written in its order as
soon as writing works again; new orders are refused, because an acknowledged order must not be lost.
"""

from __future__ import annotations

import json
import os
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from broker.paper.base.errors import LedgerCorruptError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = structlog.get_logger(__name__)

REQUESTS_KEPT = 200_000


class Journal:
    """Append-only JSON lines; without a path it remembers nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._waiting: deque[bytes] = deque()

    @property
    def is_kept(self) -> bool:
        """Whether records go anywhere, so that callers can save themselves building them."""
        return self._path is not None

    def replay(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every ``(kind, record)`` written so far, oldest first.

        A last line without a newline is what a kill in the middle of a write leaves: it is cut off. Any other
        unreadable line raises ``LedgerCorruptError``, because skipping it could hide an order.
        """
        if self._path is None or not self._path.exists():
            return
        content = self._path.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            os.truncate(self._path, complete)
        for number, line in enumerate(content[:complete].splitlines(), start=1):
            try:
                entry = json.loads(line)
                yield entry["kind"], entry["record"]
            except (ValueError, KeyError, TypeError) as error:
                raise LedgerCorruptError(
                    f"{self._path}, line {number} is damaged ({error}); restore a backup, or move it away: the "
                    "exchange then begins without accounts and orders"
                ) from error

    def append(self, kind: str, record: dict[str, Any]) -> None:
        """Write one fact; when this returns, a kill of the process does not lose it.

        ``OSError`` when it cannot be written, or something before it still waits: then nothing was.
        """
        if self._path is None:
            return
        self._write_waiting()
        self._write(_line(kind, record))

    def append_sooner_or_later(self, kind: str, record: dict[str, Any]) -> None:
        """Write one fact that cannot be taken back: at once, or behind those that wait for the disk."""
        if self._path is None:
            return
        self._waiting.append(_line(kind, record))
        try:
            self._write_waiting()
        except OSError as error:
            if len(self._waiting) == 1:
                logger.warning("journal_not_written", error=str(error))

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write(self._waiting[0])
            self._waiting.popleft()

    def _write(self, line: bytes) -> None:
        descriptor = self._open()
        before = os.fstat(descriptor).st_size
        written = os.write(descriptor, line)
        if written != len(line):
            # The rest of a line would make the next one unreadable.
            os.ftruncate(descriptor, before)
            raise OSError(f"short write to the journal: {written} of {len(line)} bytes")

    def _open(self) -> int:
        if self._path is None:
            raise LookupError("a journal without a path has no file")
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Access tokens are in here: readable by the owner only.
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._descriptor

    def close(self) -> None:
        """Release the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _line(kind: str, record: dict[str, Any]) -> bytes:
    return json.dumps({"kind": kind, "record": record}, separators=(",", ":")).encode() + b"\n"


@dataclass(kw_only=True)
class OrderRequest:
    """One order request as it reached the exchange, whatever its result.

    ``received_ns`` is the wall clock when the request head was read: the far end of every tick-to-order and
    timer-to-order measurement. ``source`` is "api" for clients, "foreign" for orders by hand and "square-off" for the
    broker's own. A modify or cancel has side and tag of its order. ``order_id`` is set when the request was accepted,
    whatever answer the client got; ``ip`` is the address it came from.
    """

    received_ns: int
    method: str
    path: str
    user_id: str | None
    form: dict[str, str]
    source: str = "api"
    status: int | None = None
    order_id: str | None = None
    error: str | None = None
    faults: list[str] = field(default_factory=list)
    transaction_type: str | None = None
    tag: str | None = None
    ip: str | None = None

    def __post_init__(self) -> None:
        """Take side and tag from the form where they were not given."""
        self.transaction_type = self.transaction_type or self.form.get("transaction_type")
        self.tag = self.tag or self.form.get("tag") or None

    def row(self) -> dict[str, Any]:
        """The request for a judge, with its ``outcome``: accepted or not-accepted."""
        return {**asdict(self), "outcome": "accepted" if self.order_id else "not-accepted"}


class RequestLog:
    """Order requests in order of arrival, journalled."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._requests: deque[OrderRequest] = deque(maxlen=REQUESTS_KEPT)

    def restore(self, record: dict[str, Any]) -> None:
        """Take one request back from the journal."""
        self._requests.append(OrderRequest(**record))

    def add(self, request: OrderRequest) -> None:
        """Log one request once its outcome is known."""
        self._requests.append(request)
        if self._journal.is_kept:
            self._journal.append_sooner_or_later("request", asdict(request))

    def of_user(self, user_id: str) -> list[OrderRequest]:
        """Requests of an account, oldest first."""
        return [request for request in self._requests if request.user_id == user_id]

    def matching(self, user_id: str | None, tag: str | None, order_ids: frozenset[str]) -> list[dict[str, Any]]:
        """Requests of an account and a tag, and those that concern one of ``order_ids``."""
        return [
            request.row()
            for request in self._requests
            if user_id in (None, request.user_id) and (tag in (None, request.tag) or request.order_id in order_ids)
        ]
