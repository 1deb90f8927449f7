"""Reconciliation: what the order book says of a run that we may have known less about.

Start-up and crash recovery share these functions. Orders are matched by tag alone: `order_type` and
`market_protection` are not echoed reliably (Kite forum c/52902), and tags can be computed before any record exists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from actors.domain.identifiers import IntentId, Leg, order_tag
from actors.domain.orders.order import FailureKind, Order, OrderReport, is_dead
from actors.domain.strategy.spec import StrategyRun
from actors.domain.strategy.state import StrategyState

_EXITS_AHEAD = 32
"""Exits that another incarnation may have sent while the journal did not answer."""


def expected_tags(state: StrategyState) -> Sequence[str]:
    """Every tag under which this run may have an order at the broker, journalled or not."""
    last = len(state.exits) + _EXITS_AHEAD
    return [state.entry.intent.tag, *(_exit_tag(state.run, seq) for seq in range(1, last + 1))]


def adopt(state: StrategyState, reports: Mapping[str, OrderReport]) -> StrategyState:
    """The state with every order of the book taken in; the phase is left to the machine.

    An exit that was refused never enters the book, so a gap before one that did is an exit that failed.
    """
    entry = _merge(state.entry, reports)
    exits = [_merge(order, reports) for order in state.exits]
    for seq in range(len(exits) + 1, len(exits) + _EXITS_AHEAD + 1):
        report = reports.get(_exit_tag(state.run, seq))
        if report is not None:
            exits += [_refused(state.run, gap, report.quantity) for gap in range(len(exits) + 1, seq)]
            exits.append(Order(state.run.exit_intent(seq, report.quantity), sent=True).merged(report))
    return replace(state, entry=entry, exits=tuple(exits))


def _refused(run: StrategyRun, seq: int, quantity: int) -> Order:
    return Order(run.exit_intent(seq, quantity), sent=True, failure=FailureKind.REFUSED)


def duplicates(reports: Iterable[OrderReport]) -> Mapping[str, Sequence[OrderReport]]:
    """Tags under which more than one order is live or filled: what must never be (mechanism 11)."""
    by_tag: dict[str, list[OrderReport]] = {}
    for report in reports:
        if report.tag is not None and not is_dead(report):
            by_tag.setdefault(report.tag, []).append(report)
    return {tag: found for tag, found in by_tag.items() if len(found) > 1}


def _exit_tag(run: StrategyRun, seq: int) -> str:
    return order_tag(run.tag_key, IntentId(run.run_id, Leg.EXIT, seq))


def _merge(order: Order, reports: Mapping[str, OrderReport]) -> Order:
    """The order with its report; a second order under its tag is for the watcher, not for this one's fills."""
    report = reports.get(order.intent.tag)
    if report is None or order.order_id not in {None, report.order_id}:
        return order
    return order.merged(report)
