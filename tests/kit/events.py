"""What happens to the orders of the builders' run, as its strategy hears it."""

from actors.domain.identifiers import IntentId, Leg
from actors.domain.orders.order import FailureKind, OrderStage
from actors.domain.strategy.events import OrderReported, PlacementFailed
from tests.kit.builders import a_report

ENTRY = IntentId(7, Leg.ENTRY, 1)
BUY_ID = "1900000000000000001"


def exit_id(seq: int = 1) -> IntentId:
    return IntentId(7, Leg.EXIT, seq)


def entry_report(stage: OrderStage = OrderStage.COMPLETE, filled: int = 10, reason: str = "") -> OrderReported:
    return OrderReported(ENTRY, a_report(BUY_ID, stage, filled=filled, reason=reason))


def exit_report(
    stage: OrderStage = OrderStage.COMPLETE, filled: int = 10, *, seq: int = 1, quantity: int = 10, price: str = "1450"
) -> OrderReported:
    report = a_report(f"29000{seq}", stage, filled=filled, quantity=quantity, price=price, reason="because")
    return OrderReported(exit_id(seq), report)


def failed(kind: FailureKind, intent_id: IntentId = ENTRY) -> PlacementFailed:
    return PlacementFailed(intent_id, kind, "because")
