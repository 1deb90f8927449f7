"""Requests as they come in: exact prices, strict numbers, and messages that repeat nothing."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from api.brokers.schemas import BrokerConnectRequest
from api.strategies.preview.schemas import StrategyPreviewRequest
from api.strategies.schemas import StrategyCreateRequest, StrategyPatchRequest
from api.users.schemas import RegisterRequest
from persistence.journal.records import strategy_status

GOOD: dict[str, Any] = {
    "symbol": "M&M",
    "buy_time": "09:30",
    "sell_time": "15:10:30",
    "stop_loss": 3100.05,
    "quantity": 3,
}


@pytest.mark.parametrize("price", ["0.01", "0.29", "92.1", "1490.55", "4503599.57", "9999999.99", "10000000"])
def test_prices_are_exact(price: str) -> None:
    assert StrategyCreateRequest(**GOOD | {"stop_loss": float(price)}).stop_loss == Decimal(price)


def test_symbols_are_completed_and_upper_case() -> None:
    assert StrategyCreateRequest(**GOOD).symbol == "NSE:M&M"
    assert StrategyCreateRequest(**GOOD | {"symbol": "bse:infy"}).symbol == "BSE:INFY"


@pytest.mark.parametrize("price", [float("nan"), float("inf"), -1, 0, 0.001, 10_000_000.01, True, "92.1", None, [1]])
def test_what_is_no_price_is_refused(price: object) -> None:
    with pytest.raises(ValidationError, match="stop_loss"):
        StrategyCreateRequest(**GOOD | {"stop_loss": price})


@pytest.mark.parametrize("moment", ["9:30", "24:00", "09:60", "09:30:60", "09:30:00.5", "09:30+05:30", 930, None])
def test_what_is_no_time_of_day_is_refused(moment: object) -> None:
    with pytest.raises(ValidationError, match="buy_time"):
        StrategyCreateRequest(**GOOD | {"buy_time": moment})


@pytest.mark.parametrize("body", [{"user_id": 1}, {"state": {}}, {"epoch": 9}])
def test_unknown_fields_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        StrategyCreateRequest(**GOOD | body)


def test_a_patch_needs_a_change() -> None:
    with pytest.raises(ValidationError, match="at least one field"):
        StrategyPatchRequest()
    assert StrategyPatchRequest(quantity=5).quantity == 5


@pytest.mark.parametrize("field", ["buy_time", "sell_time", "stop_loss", "stop_loss_percent", "quantity", "product"])
def test_a_patch_takes_no_null_beside_a_change(field: str) -> None:
    change: dict[str, Any] = {"quantity": 5} if field != "quantity" else {"stop_loss": 90.5}
    with pytest.raises(ValidationError, match="must not be empty: leave it out to keep it as it is"):
        StrategyPatchRequest(**{**change, field: None})


@pytest.mark.parametrize("tokens", [{}, {"access_token": "a", "request_token": "b"}])
def test_connecting_takes_exactly_one_token(tokens: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="either access_token or request_token"):
        BrokerConnectRequest(api_key="key", api_secret="secret", **tokens)


def test_addresses_are_kept_in_lower_case_and_secrets_out_of_sight() -> None:
    request = RegisterRequest(email="Asha@Example.COM", password="correct horse battery")
    assert request.email == "asha@example.com"
    assert "horse" not in repr(request)
    with pytest.raises(ValidationError) as refusal:
        RegisterRequest(email="<script>@", password="correct horse battery")
    assert "script" not in str(refusal.value)


def test_an_address_is_no_password_for_itself() -> None:
    with pytest.raises(ValidationError, match="must not be your e-mail address") as refusal:
        RegisterRequest(email="horse.battery@example.com", password="Horse.Battery")
    assert [error["loc"] for error in refusal.value.errors()] == [("password",)]
    assert "Battery" not in str(refusal.value)


@pytest.mark.parametrize(
    ("run_status", "ended", "shown"),
    [
        ("running", False, "running"),
        ("paused", False, "paused"),
        ("failed", False, "paused"),
        ("failed", True, "stopped"),
        ("stopped", True, "stopped"),
    ],
)
def test_strategy_status_of_a_run(run_status: str, ended: bool, shown: str) -> None:
    assert strategy_status(run_status, ended=ended) == shown


def test_a_preview_takes_what_create_takes_and_understands_it_alike() -> None:
    create, preview = StrategyCreateRequest.model_fields, StrategyPreviewRequest.model_fields
    assert preview.keys() == create.keys() | {"strategy_id"}
    assert StrategyPreviewRequest(**GOOD).asked() == StrategyCreateRequest(**GOOD)
    cnc = GOOD | {"product": "CNC"}
    assert StrategyPreviewRequest(**cnc).asked() == StrategyCreateRequest(**cnc)
    schemas = [kind.model_json_schema()["properties"] for kind in (StrategyCreateRequest, StrategyPreviewRequest)]
    assert {name: schemas[1][name] for name in create} == schemas[0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "needs symbol, buy_time, sell_time, quantity too, or strategy_id alone"),
        (
            {name: GOOD[name] for name in GOOD if name != "stop_loss"},
            "needs exactly one of stop_loss and stop_loss_percent",
        ),
        ({"strategy_id": 1, "product": "CNC"}, "must have strategy_id alone"),
        (GOOD | {"strategy_id": 1}, "must have strategy_id alone"),
    ],
)
def test_a_preview_is_of_a_stored_strategy_or_of_a_new_one(body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StrategyPreviewRequest(**body)
