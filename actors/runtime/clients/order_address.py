"""The address that this process's orders leave from, found beside the loop that sends them, and seldom."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from actors.domain.orders.order_address import SeenAddress
from broker.kite.order_address import PATIENCE_S, seen_address

EVERY_S = 60.0
"""How long an answer holds, so that however many ask, the echo is asked once a minute at most."""

_WAIT_S = PATIENCE_S + 0.5


class OrderAddress:
    """Finds it in a thread of its own: a name that is looked up for half a minute keeps no order waiting."""

    def __init__(self, where: str, every_s: float = EVERY_S) -> None:
        """`where`: the name of this place in answers. `every_s`: how many seconds an answer holds."""
        self._where, self._every_s = where, every_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="order-address")
        self._question = ("", "")
        self._answer: asyncio.Future[SeenAddress] | None = None
        self._asked_at = 0.0

    async def seen(self, root: str, echo_url: str) -> SeenAddress:
        """The address that the broker at `root` sees orders come from, as it was at most `every_s` ago. Never fails."""
        loop = asyncio.get_running_loop()
        question = (root, echo_url)
        fresh = question == self._question and loop.time() - self._asked_at < self._every_s
        if self._answer is None or (self._answer.done() and not fresh):
            self._question, self._asked_at = question, loop.time()
            self._answer = loop.run_in_executor(self._thread, seen_address, self._where, root, echo_url)
        done, _ = await asyncio.wait({self._answer}, timeout=_WAIT_S)
        if not done or question != self._question:
            return SeenAddress(self._where, unknown="it is still being asked for")
        return self._answer.result()
