"""The words of `order_logs`, which the database keeps."""

import pytest

from actors.domain.orders.log_events import REPORTS, TRIGGERED, ExitCause, LogWord, reported
from actors.domain.orders.order import OrderEvent, OrderStage


@pytest.mark.parametrize("word", LogWord)
def test_a_word_is_stored_as_it_is_named(word: LogWord) -> None:
    assert word.value == word.name


@pytest.mark.parametrize("event", OrderEvent)
def test_every_order_has_a_word_for_the_decision_to_send_it(event: OrderEvent) -> None:
    assert TRIGGERED[event] == f"{event}_TRIGGERED"


@pytest.mark.parametrize("stage", OrderStage)
def test_every_stage_has_its_word(stage: OrderStage) -> None:
    partly = stage is OrderStage.OPEN
    assert reported(stage, 0) == f"ORDER_{stage.name}"
    assert reported(stage, 4) == ("ORDER_PARTIALLY_FILLED" if partly else f"ORDER_{stage.name}")
    assert {reported(stage, 0), reported(stage, 4)} <= REPORTS


def test_who_asked_for_an_exit_is_finer_than_the_event_of_its_order() -> None:
    assert {cause: cause.event for cause in ExitCause} == {"STOPLOSS": "STOPLOSS", "SELL": "SELL", "STOP": "SELL"}
