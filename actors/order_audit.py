"""What an account's order book and positions say about our runs, as a function (design §4.6, §4.8).

One round of the watcher hands in what was read at about the same time; the reads are not one snapshot, so a finding
counts only when the next round has it too (`AccountWatch`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from actors.domain.identifiers import Leg, split_symbol
from actors.domain.order import OrderReport
from actors.domain.reconciliation import duplicates
from actors.ports import Holding, KnownIntent, PositionKey, position_key


@dataclass(frozen=True, slots=True)
class DuplicateOrders:
    """More than one order under one tag is live or filled: what must never be."""

    strategy_id: int
    user_id: int
    tag: str
    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClosedOutside:
    """The account holds nothing any more of what the run bought, and none of its own exits has sold it."""

    strategy_id: int
    run_id: int
    user_id: int
    symbol: str


@dataclass(frozen=True, slots=True)
class SharesMissing:
    """The account holds some, but less than our runs have bought: an exit asks before it sells."""

    strategy_id: int
    user_id: int
    key: PositionKey
    held: int
    expected: int


@dataclass(frozen=True, slots=True)
class PositionShort:
    """The account is short of what a run of ours trades."""

    strategy_id: int
    user_id: int
    key: PositionKey
    held: int


@dataclass(frozen=True, slots=True)
class UnguardedPosition:
    """A run's orders have bought more than they sold, the account holds it, and no strategy says that it guards it."""

    strategy_id: int
    user_id: int
    run_id: int
    quantity: int
    symbol: str


Finding = DuplicateOrders | ClosedOutside | SharesMissing | PositionShort | UnguardedPosition


@dataclass(frozen=True, slots=True)
class Account:
    """What one round has read, and what is moving: positions and runs with orders of ours in work are not judged."""

    book: Sequence[OrderReport]
    held: Mapping[PositionKey, int]
    holdings: Sequence[Holding]
    known: Sequence[KnownIntent]
    moving: frozenset[PositionKey]
    working: frozenset[int]
    """Runs with an intent in work."""
    exited: frozenset[int]
    """Runs that have sent an exit: their own orders tell what became of the position."""


def audit(account: Account) -> list[Finding]:
    """Everything that is not as it must be."""
    return [*_duplicates(account), *_missing(account), *_unguarded(account)]


def _duplicates(account: Account) -> Iterable[Finding]:
    owners = {intent.tag: intent for intent in account.known}
    for tag, orders in duplicates(account.book).items():
        owner = owners.get(tag)
        if owner is not None:
            ids = tuple(order.order_id for order in orders)
            yield DuplicateOrders(owner.strategy_id, owner.user_id, tag, ids)


def _missing(account: Account) -> Iterable[Finding]:
    by_key: dict[PositionKey, list[Holding]] = {}
    for holding in account.holdings:
        by_key.setdefault(position_key(holding.instrument, holding.product), []).append(holding)
    for key, holdings in by_key.items():
        held, expected = account.held.get(key, 0), sum(holding.quantity for holding in holdings)
        unsettled = key in account.moving or any(h.exiting or h.run_id in account.exited for h in holdings)
        if held < 0:
            first = holdings[0]
            yield PositionShort(first.strategy_id, first.user_id, key, held)
        if unsettled or held >= expected:
            continue
        for holding in holdings:
            if held <= 0:
                symbol = holding.instrument.symbol
                yield ClosedOutside(holding.strategy_id, holding.run_id, holding.user_id, symbol)
            else:
                yield SharesMissing(holding.strategy_id, holding.user_id, key, held, expected)


def _unguarded(account: Account) -> Iterable[Finding]:
    filled = {order.tag: order.filled_quantity for order in account.book if order.tag is not None}
    guarded = {holding.run_id for holding in account.holdings}
    open_by_run: dict[int, int] = {}
    for intent in account.known:
        sign = 1 if intent.leg is Leg.ENTRY else -1
        open_by_run[intent.run_id] = open_by_run.get(intent.run_id, 0) + sign * filled.get(intent.tag, 0)
    runs = {intent.run_id: intent for intent in account.known}
    for run_id, quantity in open_by_run.items():
        run = runs[run_id]
        held = sum(n for key, n in account.held.items() if key[:2] == split_symbol(run.symbol))
        if quantity > 0 and held > 0 and run_id not in guarded and run_id not in account.working:
            yield UnguardedPosition(run.strategy_id, run.user_id, run_id, quantity, run.symbol)
