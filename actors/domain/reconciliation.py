"""Reconciliation: what the order book says of a run that we may have known less about.

Start-up and crash recovery share these functions. Orders are matched by tag alone: `order_type` and
`market_protection` are not echoed reliably (Kite forum c/52902), and tags can be computed before any record exists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from actors.domain.identifiers import IntentId, Leg, order_tag
from actors.domain.order import Order, OrderReport, OrderStage
from actors.domain.strategy_spec import StrategyRun
from actors.domain.strategy_state import StrategyState

_EXITS_AHEAD = 3
"""Exits that another incarnation may have sent beyond the last one journalled (see `EXIT_FAILURE_LIMIT`)."""


def expected_tags(state: StrategyState) -> Sequence[str]:
    """Every tag under which this run may have an order at the broker, journalled or not."""
    last = len(state.exits) + _EXITS_AHEAD
    return [state.entry.intent.tag, *(_exit_tag(state.run, seq) for seq in range(1, last + 1))]


def adopt(state: StrategyState, reports: Mapping[str, OrderReport]) -> StrategyState:
    """The state with every order of the book taken in; the phase is left to the machine.

    Raises:
        InvalidValue: if a report contradicts its intent.
    """
    entry = _merge(state.entry, reports)
    exits = [_merge(order, reports) for order in state.exits]
    while (report := reports.get(_exit_tag(state.run, len(exits) + 1))) is not None:
        intent = state.run.exit_intent(len(exits) + 1, report.quantity)
        exits.append(Order(intent, sent=True).merged(report))
    return replace(state, entry=entry, exits=tuple(exits))


def duplicates(reports: Iterable[OrderReport]) -> Mapping[str, Sequence[OrderReport]]:
    """Tags under which more than one order is live or filled: what must never be (design §4.8)."""
    by_tag: dict[str, list[OrderReport]] = {}
    for report in reports:
        harmless = report.stage in {OrderStage.REJECTED, OrderStage.CANCELLED} and report.filled_quantity == 0
        if report.tag is not None and not harmless:
            by_tag.setdefault(report.tag, []).append(report)
    return {tag: found for tag, found in by_tag.items() if len(found) > 1}


def _exit_tag(run: StrategyRun, seq: int) -> str:
    return order_tag(run.tag_key, IntentId(run.run_id, Leg.EXIT, seq))


def _merge(order: Order, reports: Mapping[str, OrderReport]) -> Order:
    report = reports.get(order.intent.tag)
    return order if report is None else order.merged(report)
