"""What a person reads of an actor: one line, by India's clock, with the order and the price in their places."""

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal

from actors.domain.identifiers import IntentId, Leg
from actors.domain.orders.log_events import ExitCause, LogWord
from actors.domain.strategy.decisions import ArmIntent, CancelTimers, LogEvent, SendOrder
from actors.domain.strategy.spec import run_label
from actors.log_lines import line_for_people
from actors.runtime.hosts.light_logging import JsonLines, PeopleLines
from actors.strategy.decision_lines import decision_line
from tests.kit.builders import a_run

AT = datetime(2026, 11, 30, 4, 55, 45, 123456, UTC)
EXIT = IntentId(7, Leg.EXIT, 1)
FILLED = LogEvent(
    LogWord.ORDER_COMPLETE, "filled", EXIT, "2511300001", "COMPLETE", 10, Decimal("1495.00"), ExitCause.STOPLOSS
)


def record(level: int, event: str, **about: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": event, "levelno": level, "levelname": logging.getLevelName(level), **about})
    made.created = AT.timestamp()
    return made


def test_a_line_for_people_says_when_where_what_and_at_which_price() -> None:
    about = {"strategy_id": 42, "run_id": 7, "epoch": 2, "phase": "exiting", **(decision_line(FILLED) or {})}
    assert PeopleLines().format(record(logging.INFO, "strategy.event", **about)) == (
        "10:25:45.123 IST exiting   ORDER_COMPLETE strategy 42 order 2511300001 10 shares at ₹1495.00  filled  "
        "intent=7-EXIT-1 status=COMPLETE cause=STOPLOSS"
    )


def test_a_warning_says_so_and_what_was_raised_stands_below() -> None:
    line = line_for_people(AT, "warning", "feed.lost", {"reason": "gone", "exception": "Traceback: x"})
    assert line == "10:25:45.123 IST WARNING feed.lost  gone\nTraceback: x"


def test_the_line_for_machines_has_every_id_of_the_decision() -> None:
    about = {"strategy_id": 42, "run_id": 7, "epoch": 2, "phase": "exiting", **(decision_line(FILLED) or {})}
    said = json.loads(JsonLines().format(record(logging.INFO, "strategy.event", **about)))
    ids = {name: said[name] for name in ("strategy_id", "run_id", "epoch", "intent", "order_id", "price", "timestamp")}
    assert ids == {
        "strategy_id": 42,
        "run_id": 7,
        "epoch": 2,
        "intent": "7-EXIT-1",
        "order_id": "2511300001",
        "price": "1495.00",
        "timestamp": "2026-11-30T04:55:45.123456+00:00",
    }


def test_an_order_that_is_sent_or_armed_is_told_by_intent_and_tag_and_a_timer_is_not_told() -> None:
    intent = a_run().entry_intent()
    sent = decision_line(SendOrder(intent))
    assert sent is not None
    assert (sent["kind"], sent["intent"], sent["tag"]) == ("send_order", str(intent.id), intent.tag)
    armed = decision_line(ArmIntent(intent))
    assert armed is not None
    assert (armed["kind"], armed["tag"]) == ("arm_intent", intent.tag)
    assert decision_line(CancelTimers()) is None


def test_a_run_is_found_by_symbol_quantity_and_time() -> None:
    assert run_label("INFY", 10, AT) == "INFY 10 @10:25:45"
