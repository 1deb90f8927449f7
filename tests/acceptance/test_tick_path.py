"""The tick path on the real stack: no touch is lost when a part of it dies; no stranger injects a tick or an order."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader

PRICE, STOP, FALLEN = 1600.00, 1590.00, 1585.00


def holding(deployment: Deployment, trader: Trader, symbol: str = "HDFCBANK") -> Running:
    """A strategy with a position that both guards watch."""
    deployment.exchange.set_price(f"NSE:{symbol}", PRICE)
    strategy = trader.strategy(symbol, buy_in=3, stop_loss=STOP)
    strategy.until_position("bought")
    strategy.until(lambda status: status["guard"]["by"] == ["strategy", "execution"], 15, "both guard")
    return strategy


@pytest.mark.parametrize("part", ["router:NSE:HDFCBANK", "feed:0"])
def test_a_touch_while_a_part_of_the_tick_path_is_dead_is_seen_where_orders_leave(
    deployment: Deployment, trader: Trader, part: str
) -> None:
    strategy = holding(deployment, trader)
    pid = deployment.actor_pid(part)
    os.kill(pid, signal.SIGKILL)
    strategy.set_price(FALLEN)
    done = strategy.until_stopped(timeout=20)
    assert (done["position"], done["message"]) == ("exited_by_sl", "STOP-LOSS Triggered")
    assert strategy.sides() == ["BUY", "SELL"]
    assert eventually(lambda: new_pid(deployment, part, pid), 20, "the part is back")


def new_pid(deployment: Deployment, part: str, before: int) -> bool:
    import ray

    try:
        return deployment.actor_pid(part) != before
    except ray.exceptions.RayError:
        return False  # it is being started again


def test_a_feed_that_is_connected_but_mute_is_noticed_and_comes_back(deployment: Deployment, trader: Trader) -> None:
    strategy = holding(deployment, trader)
    assert strategy.status()["feed"] == "live"
    deployment.exchange.fault("ws-freeze", {}, seconds=60)
    seen: set[tuple[str, str]] = set()

    def both_said(status: dict[str, Any]) -> bool:
        """The router says that of its symbol, the strategy of itself; each in its own time."""
        seen.update({("feed", status["feed"]), ("detail", status["status_detail"])})
        return {("feed", "down"), ("detail", "feed_down")} <= seen

    assert strategy.until(both_said, 9, "the mute feed is noticed")["position"] == "bought"
    assert "feed_lost" in deployment.alerts.codes(strategy.id)
    strategy.until(lambda status: (status["feed"], status["status_detail"]) == ("live", ""), 8, "the feed is back")
    strategy.set_price(FALLEN)
    assert strategy.until_stopped()["position"] == "exited_by_sl"


def test_a_symbol_that_falls_silent_while_the_feed_is_live_is_asked_for(deployment: Deployment, trader: Trader) -> None:
    strategy = holding(deployment, trader)
    deployment.exchange.fault("ws-drop-ticks", {}, seconds=120)
    try:
        strategy.set_price(FALLEN)
        assert strategy.until_stopped(timeout=40)["position"] == "exited_by_sl"
        eventually(lambda: "symbol_silent" in deployment.alerts.codes(0), 5, "the silence is told")
    finally:
        deployment.exchange.clear_faults()


def test_nobody_without_an_invitation_can_inject_a_tick_or_an_order(deployment: Deployment, trader: Trader) -> None:
    strategy = holding(deployment, trader)
    addresses = sockets_of_the_plane()
    assert len(addresses) >= 3  # of the feed, of a router, of an execution actor
    requests = len(strategy.requests())
    for address in addresses:
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(5)
            stranger.connect(address)
            stranger.sendall(b"\x40\x00\x00\x00" + b"\x01" * 64)
            assert hears_nothing_but_the_end(stranger)
    status = strategy.status()
    assert (status["position"], status["feed"]) == ("bought", "live")
    assert len(strategy.requests()) == requests
    strategy.set_price(FALLEN)  # and the true ones are still heard
    assert strategy.until_stopped()["position"] == "exited_by_sl"


def sockets_of_the_plane() -> set[str]:
    """The abstract sockets that the actors of this machine listen on; other stacks may run beside ours."""
    names = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    return {"\0" + name[1:] for name in names if name.startswith("@tradeactors-")}


def hears_nothing_but_the_end(stranger: socket.socket) -> bool:
    try:
        return stranger.recv(100) == b""
    except ConnectionResetError:
        return True


def test_stop_levels_of_many_strategies_on_one_symbol_are_their_own(deployment: Deployment, trader: Trader) -> None:
    first = holding(deployment, trader)
    deeper = deployment.trader().strategy("HDFCBANK", buy_in=3, stop_loss=STOP - 100)
    deeper.until_position("bought")
    first.set_price(FALLEN)
    assert first.until_stopped()["position"] == "exited_by_sl"
    eventually(lambda: deeper.status()["last_price"] == FALLEN, 5, "the other one has seen the price")
    assert deeper.status()["position"] == "bought"
    assert deeper.stop().json()["position"] == "sold"
