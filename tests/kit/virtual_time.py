"""An event loop whose time passes only when nothing is left to do: every sleep is exact, and takes no real time.

`FakeClock` is the wall clock that goes with it; `step` sets it forward or back, as NTP or an operator may.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, ParamSpec

from tests.kit.builders import NOW

P = ParamSpec("P")

_LONGEST_TEST_S = 2 * 3600.0
"""Of virtual time: a test that waits for longer waits for what never comes."""

_SEVERAL_DAYS_S = 80 * 3600.0

_START_S = 1000.0
"""The loop's time is the uptime of a machine, never zero."""


class FakeClock:
    """`Clock`: starts at `NOW` and runs with the loop."""

    def __init__(self, start: datetime = NOW) -> None:
        self._start = start
        self._began = asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """The present instant of the virtual day."""
        return self._start + timedelta(seconds=asyncio.get_running_loop().time() - self._began)

    def monotonic(self) -> float:
        """The loop's own time."""
        return asyncio.get_running_loop().time()

    def step(self, by: timedelta) -> None:
        """Set the wall clock; the loop's own time knows nothing of it."""
        self._start += by


class _Selector(selectors.BaseSelector):
    """Asks the real selector without waiting; what it was to wait is added to the loop's time."""

    def __init__(self, longest_s: float) -> None:
        self._real = selectors.DefaultSelector()
        self.time, self._longest_s = _START_S, longest_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready and timeout is None:
            raise AssertionError("every task waits, and nothing is left that could wake one")
        if not ready and timeout:
            self.time += timeout
            if self.time > _START_S + self._longest_s:
                raise AssertionError(f"nothing came of waiting for {self._longest_s} virtual seconds")
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The standard loop on virtual time."""

    def __init__(self, longest_s: float = _LONGEST_TEST_S) -> None:
        self._virtual = _Selector(longest_s)
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds that have passed in this loop's world."""
        return self._virtual.time


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop of its own in virtual time."""
    return _on_loops(VirtualTimeLoop, test)


def over_days(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The same for a test that lasts for hours, or over a weekend."""
    return _on_loops(lambda: VirtualTimeLoop(_SEVERAL_DAYS_S), test)


def _on_loops(
    factory: Callable[[], VirtualTimeLoop], test: Callable[P, Coroutine[Any, Any, None]]
) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(test(*args, **kwargs))

    del run.__wrapped__  # else pytest-asyncio finds the coroutine function behind it
    return run


async def until(condition: Callable[[], object], within_s: float = 60.0) -> None:
    """Return when the condition holds; fail when it does not within `within_s` virtual seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, f"not true within {within_s} virtual seconds"
        await asyncio.sleep(max(0.001, within_s / 10_000))


async def passing(seconds: float) -> None:
    """Let so much virtual time pass."""
    await asyncio.sleep(seconds)
