"""Accounts whose orders the exchange takes from an address of their own only, on one gateway node of the real stack."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.kit.proxy import ForwardProxy, forward_proxy
from tests.kit.trader import Deployment, Running, Trader

PRICE, STOP, FALLEN = 1600.00, 1590.00, 1585.00
ADDRESSES = ("127.0.0.2", "127.0.0.3")


@pytest.fixture
def proxies() -> Iterator[list[ForwardProxy]]:
    """One at each address."""
    with ExitStack() as stack:
        yield [stack.enter_context(forward_proxy(leaves_by=ip, user="asha", password="s3cret")) for ip in ADDRESSES]


def registered(deployment: Deployment, proxy: ForwardProxy) -> Trader:
    """A trader whose orders may come from the proxy's address alone."""
    trader = deployment.trader()
    assert proxy.leaves_by is not None
    deployment.exchange.register_ips(trader.account.user_id, proxy.leaves_by)
    trader.connect(proxy_url=proxy.proxy.url)
    return trader


def holding(deployment: Deployment, trader: Trader) -> Running:
    """A strategy that guards a position."""
    deployment.exchange.set_price("NSE:HDFCBANK", PRICE)
    strategy = trader.strategy("HDFCBANK", buy_in=3, stop_loss=STOP)
    strategy.until_position("bought")
    return strategy


def test_each_buys_and_is_stopped_out_by_its_own_address(deployment: Deployment, proxies: list[ForwardProxy]) -> None:
    strategies = [holding(deployment, registered(deployment, proxy)) for proxy in proxies]
    deployment.exchange.set_price("NSE:HDFCBANK", FALLEN)
    for strategy in strategies:
        assert strategy.until_stopped()["position"] == "exited_by_sl"
        assert [order["status"] for order in strategy.orders()] == ["COMPLETE"] * 2
        assert len(strategy.requests()) == 2
    assert all("CONNECT" in proxy.methods() for proxy in proxies)


def test_a_proxy_that_dies_over_a_position_is_replaced_under_the_running_strategy(
    deployment: Deployment, proxies: list[ForwardProxy]
) -> None:
    dying, fresh = proxies
    trader = registered(deployment, dying)
    strategy = holding(deployment, trader)
    dying.refuses = 503
    dying.hang_up()
    strategy.set_price(FALLEN)
    strategy.until(lambda status: status["status_detail"] == "broker_unreachable", what="the exit fails")
    assert len(strategy.requests()) == 1  # nothing of the exit has reached the exchange
    assert fresh.leaves_by is not None
    deployment.exchange.register_ips(trader.account.user_id, fresh.leaves_by)
    trader.connect(proxy_url=fresh.proxy.url)
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert strategy.sides() == ["BUY", "SELL"]
    assert len(strategy.requests()) == 2
