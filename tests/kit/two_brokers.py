"""Two brokers that trade the same share at different prices, each with a run that holds it; run as a module.

A second paper exchange stands for Kite. The stack is one of its own, in a process of its own: that of the test session
has one broker.
"""

from functools import partial

from tests.kit.paper import PaperExchange, eventually
from tests.kit.session import deployment_of, running_session
from tests.kit.trader import Deployment, Trader


def trader_at(deployment: Deployment, broker: str) -> Trader:
    """A new trader, registered and connected to that broker."""
    trader = Trader(deployment)
    trader.register()
    trader.connect(broker=broker)
    return trader


def measured(trader: Trader, figure: str) -> bool:
    """Whether the API publishes the figure."""
    return figure in trader.http.get("/metrics").text


def main() -> None:
    """See the head of this module; whatever is not as it should be raises."""
    with (
        PaperExchange(default_source="hold") as kite,
        running_session(
            failpoints=None,
            brokers="paper,kite",
            kite_root=kite.url,
            kite_ws_root=kite.ws_url,
            calendar="24x7",
            registration="open",
        ) as (stack, paper),
    ):
        at_kite = deployment_of(stack, paper.alerts)
        at_kite.exchange = kite.control
        paper.exchange.set_price("NSE:SBIN", 800)
        kite.control.set_price("NSE:SBIN", 1000)
        invented = trader_at(paper, "paper").strategy("SBIN", buy_in=3, stop_loss=790)
        real = trader_at(at_kite, "kite").strategy("SBIN", buy_in=3, stop_loss=900)
        invented.until_position("bought")
        real.until_position("bought")
        assert {"feed:0", "feed:0@kite", "router:NSE:SBIN", "router:NSE:SBIN@kite"} <= paper.actors()

        paper.exchange.set_price("NSE:SBIN", 700)
        assert invented.until_stopped()["position"] == "exited_by_sl"
        eventually(lambda: paper.hash("price:SBIN").get("price") == "700.00", 15, "the paper price is mirrored")
        kite.control.set_price("NSE:SBIN", 1001)
        status = real.until(lambda found: found["last_price"] == 1001)
        assert (status["position"], real.sides()) == ("bought", ["BUY"]), "a paper price reached a run at kite"
        assert paper.hash("kite:price:SBIN")["price"] == "1001.00"

        kite.control.set_price("NSE:SBIN", 899)
        assert real.until_stopped()["position"] == "exited_by_sl"
        for broker in ("paper", "kite"):
            live = f'tradeactors_feed_live{{broker="{broker}",connection="0"}} 1.0'
            eventually(partial(measured, real.trader, live), 15, live)
    print("two brokers, two prices")  # noqa: T201 - what the test looks for


if __name__ == "__main__":
    main()
