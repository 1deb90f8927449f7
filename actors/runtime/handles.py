"""Handles of other actors by name, looked up in a thread.

Ray's lookup asks the head, and waits a minute for it while it is away. In the event loop of execution or of a strategy
no stop-loss would leave meanwhile, so no lookup is ever made there.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from actors.ports.common import PeerUnavailable

LOOK_UP_S = 1.0
"""How long a lookup may take, in seconds, before a handle that is in doubt is used as it is."""

MOST_WAITING = 1000
"""Messages for one actor that wait until it is found; after that the oldest is lost."""

Deliver = Callable[[Any], None]
"""Sends one message, given the handle."""


class PeerMissing(PeerUnavailable):
    """No actor of that name exists now."""


class HeadSilent(Exception):
    """The head has not answered a lookup: whether there is such an actor is not known."""


@dataclass(slots=True)
class _Lookup:
    begun: float
    found: "Future[Any]" = field(default_factory=Future)
    """The handle, or None if there is no such actor."""
    waiting: list[Deliver] = field(default_factory=list)


class Handles:
    """Handles, remembered: they outlive restarts. One that is in doubt is looked up again, and used if nothing better
    is found within a second.

    `look_up` gives the handle of a name. It raises PeerMissing if there is no such actor, and HeadSilent if that is not
    known yet: then it is called again. It may block.
    """

    def __init__(self, look_up: Callable[[str], Any]) -> None:
        self._look_up = look_up
        self._lock = threading.RLock()
        self._handles: dict[str, Any] = {}
        self._doubted: set[str] = set()
        self._lookups: dict[str, _Lookup] = {}

    def meet(self, name: str, handle: Any) -> None:
        """Remember the handle that a peer gave of itself."""
        with self._lock:
            self._handles[name] = handle
            self._doubted.discard(name)

    def doubt(self, name: str) -> None:
        """Look the actor up again at the next use: another may have its name by now."""
        with self._lock:
            self._doubted.add(name)

    async def find(self, name: str) -> Any:
        """The handle, of an actor that is not known yet once the head has answered.

        Raises:
            PeerMissing: no actor of that name exists now.
        """
        with self._lock:
            handle = self._handles.get(name)
            if handle is not None and name not in self._doubted:
                return handle
            lookup = self._begin(name)
        patience_s = None if handle is None else max(lookup.begun + LOOK_UP_S - time.monotonic(), 0.0)
        try:
            async with asyncio.timeout(patience_s):
                found = await asyncio.shield(asyncio.wrap_future(lookup.found))
        except TimeoutError:
            return handle
        if found is None:
            raise PeerMissing(f"{name} does not exist")
        return found

    def send(self, name: str, deliver: Deliver) -> None:
        """Deliver a message now, or when the actor is found, in the order of these calls. An actor that is gone loses
        it.
        """
        with self._lock:
            handle = self._handles.get(name)
            if handle is None or name in self._doubted:
                lookup = self._begin(name)
                lookup.waiting.append(deliver)
                if handle is not None and time.monotonic() - lookup.begun >= LOOK_UP_S:
                    _deliver_all(lookup, handle)
                elif len(lookup.waiting) > MOST_WAITING:
                    del lookup.waiting[0]
                return
            deliver(handle)

    def _begin(self, name: str) -> _Lookup:
        lookup = self._lookups.get(name)
        if lookup is None:
            lookup = self._lookups[name] = _Lookup(time.monotonic())
            threading.Thread(target=self._run, args=(name, lookup), name=f"look-up-{name}", daemon=True).start()
        return lookup

    def _run(self, name: str, lookup: _Lookup) -> None:
        handle = None
        try:
            handle = self._ask(name)
        finally:
            with self._lock:
                del self._lookups[name]
                self._doubted.discard(name)
                if handle is None:
                    self._handles.pop(name, None)
                else:
                    self._handles[name] = handle
                    _deliver_all(lookup, handle)
            lookup.found.set_result(handle)

    def _ask(self, name: str) -> Any:
        while True:
            try:
                return self._look_up(name)
            except PeerMissing:
                return None
            except HeadSilent:
                continue


def _deliver_all(lookup: _Lookup, handle: Any) -> None:
    waiting, lookup.waiting = lookup.waiting, []
    for deliver in waiting:
        deliver(handle)
