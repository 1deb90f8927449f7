"""Row J3, and more: PostgreSQL goes away under running strategies, and comes back."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Trader


@contextmanager
def without_postgresql(deployment: Deployment) -> Iterator[None]:
    """PostgreSQL ends every connection and accepts no new one: what a client sees of a server that is down."""
    url = deployment.settings.database_url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(url) as asking:
        (name,) = asking.execute("select current_database()").fetchone() or ("",)
    with psycopg.connect(url, dbname="template1", autocommit=True) as admin:
        admin.execute(f'alter database "{name}" allow_connections false')
        try:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            yield
        finally:
            admin.execute(f'alter database "{name}" allow_connections true')


def test_without_postgresql_the_stop_loss_goes_out_nothing_new_begins_and_no_record_is_lost(
    deployment: Deployment, trader: Trader
) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    held = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    held.until_position("bought")
    due = trader.strategy("TCS", buy_in=6)
    with without_postgresql(deployment):
        refused = trader.call("POST", "/strategy/start", {"strategy_id": held.id})
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        held.set_price(789.00)
        eventually(lambda: held.sides() == ["BUY", "SELL"], 10, "the exit reached the exchange")
        eventually(lambda: deployment.now() > due.buy_at, 20, "the other one's buy time")
        eventually(lambda: "entries_halted" in deployment.alerts.codes(due.id), 10, "somebody is told of it")
        assert due.orders() == []
    assert held.until_stopped(60)["position"] == "exited_by_sl"
    lines = {"STOPLOSS_TRIGGERED", "STOPLOSS", "ORDER_COMPLETE", "RUN_ENDED"}
    eventually(lambda: lines <= set(held.logged()), 15, "every record of it")
    assert len(held.orders()) == 2
    assert due.stop().status_code == 200
    assert len(due.sides()) in {0, 2}, "PostgreSQL may have been back within the five seconds of grace"
