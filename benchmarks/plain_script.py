"""What a user of `pykiteconnect` would run instead: the stock KiteTicker, and `place_order` in its callback.

python -m benchmarks.plain_script ROOT WS_ROOT TOKEN SYMBOL STOP [STOP ...]     (for each account, in rupees)
"""

import sys
from typing import Any

from kiteconnect import KiteConnect, KiteTicker

root, ws_root, token, symbol, *stops = sys.argv[1:]
accounts = [(KiteConnect(f"plain{n:011d}", "t" * 32, root=root), float(stop)) for n, stop in enumerate(stops)]
armed: set[KiteConnect] = set()


def on_connect(ws: Any, _response: object) -> None:
    """Ask for the instrument."""
    ws.subscribe([int(token)])
    ws.set_mode(ws.MODE_FULL, [int(token)])


def on_ticks(_ws: Any, ticks: list[dict[str, Any]]) -> None:
    """Sell at or below the stop; ready again once the price is above it."""
    price = ticks[-1]["last_price"]
    for kite, stop in accounts:
        if price > stop:
            armed.add(kite)
        elif kite in armed:
            armed.discard(kite)
            kite.place_order(
                variety="regular", exchange="NSE", tradingsymbol=symbol, transaction_type="SELL", quantity=1,
                product="MIS", order_type="MARKET", market_protection=-1,
            )  # fmt: skip


if __name__ == "__main__":
    ticker = KiteTicker("plain00000000000", "t" * 32, root=ws_root)
    ticker.on_connect, ticker.on_ticks = on_connect, on_ticks
    ticker.connect()
