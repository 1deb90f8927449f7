"""Keeps the way of a stop-loss order warm while stops are armed: it is gone, up to the last step before the wire.

Kite sends a tick a second, and a breach comes once a day: by then the code and the data of this way have left the
processor's caches, and cold they cost several times as much as warm (`benchmarks/RESULTS.md`). A rehearsal changes
nothing and sends nothing. A process without armed stops does not rehearse.
"""

import asyncio
from collections.abc import Callable

import structlog

from actors.ports.strategy import OrderCommand

log = structlog.get_logger(__name__)

PER_SECOND = 100
_LOOK_AGAIN_S = 1.0


class Rehearsal:
    """Await `run()` in a task.

    `next_command()` gives what an armed stop would send, None if there is none. `begin(then)` takes in a message and
    calls back, as a tick arrives; `rehearse(command)` goes the rest of the way.
    """

    def __init__(
        self,
        next_command: Callable[[], OrderCommand | None],
        begin: Callable[[Callable[[], None]], None],
        rehearse: Callable[[OrderCommand], None],
    ) -> None:
        self._next_command, self._begin, self._rehearse = next_command, begin, rehearse
        self._broken = ""

    async def run(self) -> None:
        """Rehearse while stops are armed, until it is cancelled."""
        while True:
            if self._command() is None:
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            self._begin(self._once)
            await asyncio.sleep(1 / PER_SECOND)

    def _command(self) -> OrderCommand | None:
        try:
            return self._next_command()
        except Exception as error:  # noqa: BLE001 - as below
            self._note(repr(error))
            return None

    def _once(self) -> None:
        command = self._command()
        try:
            if command is not None:
                self._rehearse(command)
        except Exception as error:  # noqa: BLE001 - the order itself goes its way, and says what is wrong with it
            self._note(repr(error))

    def _note(self, error: str) -> None:
        if error != self._broken:
            self._broken = error
            log.warning("rehearsal.failed", error=error)
