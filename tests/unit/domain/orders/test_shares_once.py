"""What an account holds, each share once."""

from actors.domain.orders.cover import AccountPosition, shares_once


def test_shares_of_the_demat_account_count_under_one_exchange() -> None:
    nse, bse, day = ("NSE", "INFY", "CNC"), ("BSE", "INFY", "CNC"), ("NSE", "TCS", "MIS")
    rows = {bse: AccountPosition(0, 20), nse: AccountPosition(0, 20), day: AccountPosition(-3)}
    assert shares_once(rows) == {nse: 20, day: -3}


def test_a_sale_of_today_stands_where_it_was_made() -> None:
    nse, bse = ("NSE", "INFY", "CNC"), ("BSE", "INFY", "CNC")
    assert shares_once({nse: AccountPosition(0, 20), bse: AccountPosition(-5, 20)}) == {bse: 15}
    assert shares_once({nse: AccountPosition(0, 20), bse: AccountPosition(-20, 20)}) == {}
