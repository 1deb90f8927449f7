"""Trigger -> broker order id, at the paper exchange, beside a bare `kiteconnect.place_order` there."""

import time
from datetime import datetime

from kiteconnect import KiteConnect

from benchmarks.figures import Figure, Row, met, percentile, ratio
from tests.kit.trader import Deployment

SYMBOL, PRICE, STOP, FALLEN = "SBIN", 800.0, 790.0, 789.0


def order_id(deployment: Deployment, runs: int) -> Figure:
    """Real strategies over the API: a timed BUY and a stop-loss each."""
    trader = deployment.trader()
    deployment.exchange.set_price(f"NSE:{SYMBOL}", PRICE)
    trader.strategy(SYMBOL, buy_in=600, sell_in=1200).stop()  # router, feed and execution start with the first
    taken: list[float] = []
    for _ in range(runs):
        strategy = trader.strategy(SYMBOL, buy_in=3, stop_loss=STOP, quantity=1)
        strategy.until_position("bought")
        deployment.exchange.set_price(f"NSE:{SYMBOL}", FALLEN)
        strategy.until_stopped()
        deployment.exchange.set_price(f"NSE:{SYMBOL}", PRICE)
        rows = deployment.query(
            "select detail->>'triggered_at' as due, occurred_at from order_logs "
            "where strategy_id = %s and detail ? 'sent_at' order by id",
            strategy.id,
        )
        taken += [(row["occurred_at"] - datetime.fromisoformat(row["due"])).total_seconds() * 1e3 for row in rows]
    root = deployment.settings.broker_root("paper")
    bare = KiteConnect(trader.account.api_key, trader.account.access_token, root)
    stock = []
    for number in range(runs * 2):
        begun = time.monotonic()
        bare.place_order(
            variety="regular", exchange="NSE", tradingsymbol=SYMBOL, quantity=1, product="MIS", order_type="MARKET",
            transaction_type="SELL" if number % 2 else "BUY", market_protection=-1,
        )  # fmt: skip
        stock.append((time.monotonic() - begun) * 1e3)
        time.sleep(0.15)
    p99 = percentile(taken, 0.99)
    return Figure(
        "Trigger to the broker's order id (paper exchange)",
        "p99 < 50 ms (row E3 asks 300)",
        [Row("ours: timed BUYs and stop-losses, from the trigger", taken),
         Row("bare kiteconnect.place_order, the call alone", stock)],
        met(ok=p99 < 50, said=f"p99 {p99:.1f} ms"),
        [f"bare call / ours: {ratio(stock, taken)} (medians)."],
    )  # fmt: skip
