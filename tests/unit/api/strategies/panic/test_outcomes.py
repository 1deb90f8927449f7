"""What a panic has come to, in words."""

import pytest

from api.strategies.panic.outcomes import Outcome, outcome_of, sentence, shares_answer, shares_kept
from api.strategies.panic.schemas import PanicOutcome


def an_outcome(symbol: str, outcome: Outcome) -> PanicOutcome:
    return PanicOutcome(strategy_id=1, symbol=symbol, outcome=outcome, position="sold", message="")


@pytest.mark.parametrize(
    ("position", "ended", "outcome"),
    [
        ("none", False, "working"),
        ("selling", False, "working"),
        ("sold", False, "working"),
        ("sold", True, "flat"),
        ("none", True, "flat"),
        ("exited_by_sl", True, "flat"),
        ("buy_failed", True, "flat"),
        ("bought", True, "failed"),
        ("selling", True, "failed"),
        ("buying", True, "failed"),
    ],
)
def test_only_what_has_ended_without_shares_is_flat(position: str, ended: bool, outcome: Outcome) -> None:
    assert outcome_of(position, ended=ended) == outcome


def test_shares_come_back_as_they_were_kept() -> None:
    kept = shares_kept({("NSE", "TCS", "MIS"): -3, ("NSE", "INFY", "CNC"): 20, ("NSE", "SBIN", "CNC"): 0})
    answer = shares_answer(kept) or []
    assert [(s.symbol, s.product, s.quantity) for s in answer] == [("INFY", "CNC", 20), ("TCS", "MIS", -3)]
    assert shares_answer(None) is None


def test_what_is_open_is_counted() -> None:
    outcomes = [an_outcome("INFY", "working"), an_outcome("TCS", "flat")]
    assert sentence(outcomes, None, finished=False) == "1 strategy is still being ended; 1 of 2 have ended"


def test_what_could_not_be_sold_or_read_is_said() -> None:
    failed = [an_outcome("INFY", "failed")]
    said = sentence(failed, None, finished=True)
    assert said == (
        "Not everything could be sold, look at your account: INFY. What else your account holds could not be read"
    )
    assert sentence([], [], finished=True) == "All is flat. Your account holds nothing else"


def test_shares_that_could_not_be_sold_are_not_called_the_users_own() -> None:
    failed = [an_outcome("INFY", "failed")]
    said = sentence(failed, shares_answer(shares_kept({("NSE", "INFY", "MIS"): 10})), finished=True)
    assert said == "Not everything could be sold, look at your account: INFY. It holds 10 INFY"
