"""A client of Server-Sent Events that reads one event at a time, as the WHATWG's text describes the format."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx

PATIENCE_S = 20.0


@dataclass(frozen=True)
class SentEvent:
    """One event. `event_id` is None where the server named none."""

    name: str
    data: dict[str, Any]
    event_id: str | None


class EventSource:
    """An open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    @classmethod
    @asynccontextmanager
    async def open(cls, client: httpx.AsyncClient, path: str, headers: Mapping[str, str]) -> AsyncIterator[Self]:
        """Connect; leaving the block ends the connection without a notice, as an app does."""
        async with client.stream("GET", path, headers=dict(headers), timeout=PATIENCE_S) as response:
            yield cls(response)

    async def next(self) -> SentEvent | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if not line and "data" in fields:
                    return SentEvent(fields["event"], json.loads(fields["data"]), fields.get("id"))
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
        return None

    async def until(self, name: str) -> list[SentEvent]:
        """The events up to the first of that name, which is the last of the list."""
        seen: list[SentEvent] = []
        while not seen or seen[-1].name != name:
            event = await self.next()
            assert event is not None, f"the stream ended before {name}, after {seen}"
            seen.append(event)
        return seen

    async def rest(self) -> list[SentEvent]:
        """The events until the stream ends."""
        seen: list[SentEvent] = []
        while (event := await self.next()) is not None:
            seen.append(event)
        return seen
