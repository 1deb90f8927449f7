"""Orders go first: what else a strategy does gives way until an order that has left is heard of."""

import asyncio

from actors.waiting import within

ORDER_FIRST_S = 0.25
"""How long records and subscriptions wait for the first report of an order that has left: when fifty stop-losses are
touched at once, fifty records and subscriptions would take the cores from them. Recovery finds an order by its tag in
any case (mechanism 3)."""


class OrderFirst:
    """Whether an order has left of which nothing has been heard yet."""

    def __init__(self) -> None:
        self._heard_of = asyncio.Event()
        self._heard_of.set()

    def left(self) -> None:
        """An order leaves."""
        self._heard_of.clear()

    def heard_of(self) -> None:
        """Something is known of the last order."""
        self._heard_of.set()

    async def wait(self) -> None:
        """Give way to the last order, for `ORDER_FIRST_S` at most, and once."""
        await within(self._heard_of, ORDER_FIRST_S)
        self._heard_of.set()
