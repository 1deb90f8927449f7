"""The judge of what happens outside: whose shares an order of ours has sold, trade by trade."""

from typing import Any

from tests.chaos.outside_judge import Line, lines_of


def account(*trades: tuple[str, int, bool, int, int]) -> dict[str, Any]:
    """Trades as (side, quantity, ours, placed at, filled at), times in milliseconds."""
    orders = [
        {"order_id": str(n), "tag": "OURS" if ours else None, "placed_ns": placed * 1_000_000}
        for n, (_, _, ours, placed, _) in enumerate(trades)
    ]
    rows = [
        {
            "order_id": str(n),
            "tradingsymbol": "INFY",
            "product": "CNC",
            "transaction_type": side,
            "quantity": quantity,
            "filled_ns": filled * 1_000_000,
            "fill_timestamp": "10:00:00",
        }
        for n, (side, quantity, _, _, filled) in enumerate(trades)
    ]
    return {"orders": orders, "trades": rows}


def judged(*trades: tuple[str, int, bool, int, int], holdings: int = 0) -> list[str]:
    line: Line = lines_of(account(*trades), {"INFY": holdings})["INFY", "CNC"]
    return [sentence.partition(":")[0] for sentence in line.broken]


def test_a_run_that_sells_what_it_bought_breaks_nothing() -> None:
    assert judged(("BUY", 10, True, 0, 1), ("SELL", 10, True, 10, 11)) == []


def test_what_was_sold_before_the_buy_is_not_the_runs() -> None:
    sold_first = ("SELL", 60, False, 0, 1)
    assert judged(sold_first, ("BUY", 10, True, 2, 3), ("SELL", 10, True, 10, 11), holdings=100) == []


def test_a_sale_by_hand_counts_against_the_run_first() -> None:
    bought, by_hand, ours = ("BUY", 10, True, 0, 1), ("SELL", 4, False, 10, 11), ("SELL", 10, True, 5000, 5001)
    assert judged(bought, by_hand, ours) == ["foreign", "short"]
    assert judged(bought, by_hand, ours, holdings=100) == ["foreign"]
    assert judged(bought, by_hand, ("SELL", 6, True, 5000, 5001)) == []


def test_a_short_that_the_trader_opens_himself_is_not_ours() -> None:
    assert judged(("BUY", 10, True, 0, 1), ("SELL", 10, True, 10, 11), ("SELL", 10, False, 20, 21)) == []


def test_a_buy_into_a_short_of_the_trader_covers_it() -> None:
    assert judged(("SELL", 5, False, 0, 1), ("BUY", 10, True, 2, 3)) == ["covered"]


def test_an_exit_that_crossed_a_sale_by_hand_is_named_so_only_if_nobody_could_have_known() -> None:
    bought, by_hand = ("BUY", 10, True, 0, 1), ("SELL", 10, False, 1000, 1000)
    assert judged(bought, by_hand, ("SELL", 10, True, 1100, 1200)) == ["window"]
    assert judged(bought, by_hand, ("SELL", 10, True, 1300, 1310)) == ["foreign", "short"]
    assert judged(bought, by_hand, ("SELL", 10, True, 900, 3100)) == ["foreign", "short"]
