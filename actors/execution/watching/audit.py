"""What an account's order book and positions say about our runs, as a function (mechanisms 9 and 11).

One round of the watcher hands in what one look has shown; its two reads are not one snapshot, so a finding counts only
when the next round has it too (`AccountWatch`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from actors.domain.identifiers import Leg
from actors.domain.orders.cover import (
    NOTHING,
    AccountPosition,
    Cover,
    PositionKey,
    Stake,
    filled_by_tag,
    judge,
    outstanding,
    waiting_by_hand,
)
from actors.domain.orders.order import OrderReport
from actors.domain.strategy.reconciliation import duplicates
from actors.ports.execution import KnownIntent
from actors.ports.strategy import Holding


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
    key: PositionKey
    reason: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class SharesMissing:
    """The account holds some, but less than our runs have bought: an exit asks before it sells."""

    strategy_id: int
    user_id: int
    key: PositionKey
    covered: int
    staked: int
    reason: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class ExitUncovered:
    """Working exits may still sell more than is left of the run's shares."""

    strategy_id: int
    run_id: int
    user_id: int
    key: PositionKey
    reason: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class SaleByHandWaits:
    """A sell order of the trader's own waits in the book: when ours has sold, it would open a short."""

    strategy_id: int
    user_id: int
    key: PositionKey
    quantity: int


@dataclass(frozen=True, slots=True)
class PositionShort:
    """The account is short of what a run of ours trades, or has traded today."""

    strategy_id: int
    user_id: int
    key: PositionKey
    held: int
    last_price: Decimal | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class UnguardedPosition:
    """A run's orders have bought more than they sold, the account holds it, and no strategy says that it guards it."""

    strategy_id: int
    user_id: int
    run_id: int
    quantity: int
    key: PositionKey


Finding = (
    DuplicateOrders
    | ClosedOutside
    | SharesMissing
    | ExitUncovered
    | SaleByHandWaits
    | PositionShort
    | UnguardedPosition
)


@dataclass(frozen=True, slots=True)
class Account:
    """What one round has read and judged. Positions with shares that may not be there yet are not judged."""

    book: Sequence[OrderReport]
    positions: Mapping[PositionKey, AccountPosition]
    covers: Mapping[PositionKey, Cover]
    holdings: Sequence[Holding]
    known: Sequence[KnownIntent]
    is_own: Callable[[str], bool]
    read_at: float
    unsettled: frozenset[PositionKey]
    working: frozenset[int]
    """Runs with a working intent."""


def audit(account: Account) -> list[Finding]:
    """Everything that is not as it must be."""
    return [
        *_duplicates(account),
        *_short(account),
        *_missing(account),
        *_uncovered(account),
        *_waiting_by_hand(account),
        *_unguarded(account),
    ]


def _duplicates(account: Account) -> Iterable[Finding]:
    owners = {intent.tag: intent for intent in account.known}
    for tag, orders in duplicates(account.book).items():
        owner = owners.get(tag)
        if owner is not None:
            ids = tuple(order.order_id for order in orders)
            yield DuplicateOrders(owner.strategy_id, owner.user_id, tag, ids)


def _short(account: Account) -> Iterable[Finding]:
    """Of every key that our runs have traded today, run or no run: a short outlives the run that opened it."""
    concerned = {intent.key: (intent.strategy_id, intent.user_id) for intent in account.known}
    concerned |= {holding.key: (holding.strategy_id, holding.user_id) for holding in account.holdings}
    for key, (strategy_id, user_id) in concerned.items():
        position = account.positions.get(key, NOTHING)
        if position.held < 0:
            yield PositionShort(strategy_id, user_id, key, position.held, position.last_price)


def _missing(account: Account) -> Iterable[Finding]:
    """A run whose exit is working is judged by `_uncovered`: its own orders are selling the shares."""
    for holding in account.holdings:
        key = holding.key
        cover = account.covers[key]
        if not cover.lacking or key in account.unsettled:
            continue
        if holding.exiting or holding.run_id in account.working:
            continue
        if cover.covered <= 0:
            yield ClosedOutside(holding.strategy_id, holding.run_id, holding.user_id, key, cover.reason())
        else:
            yield SharesMissing(holding.strategy_id, holding.user_id, key, cover.covered, cover.staked, cover.reason())


def _uncovered(account: Account) -> Iterable[Finding]:
    for key, cover in account.covers.items():
        runs = [(holding, outstanding(holding.stake, account.book)) for holding in _under(account, key)]
        if sum(shares for _, shares in runs) <= cover.covered or key in account.unsettled:
            continue
        for holding, shares in runs:
            if shares:
                yield ExitUncovered(holding.strategy_id, holding.run_id, holding.user_id, key, cover.reason())


def _waiting_by_hand(account: Account) -> Iterable[Finding]:
    for key, cover in account.covers.items():
        waiting = waiting_by_hand(key, account.book, account.is_own)
        if waiting and cover.covered and cover.held - cover.staked - waiting < 0:
            first = next(iter(_under(account, key)))
            yield SaleByHandWaits(first.strategy_id, first.user_id, key, waiting)


def _unguarded(account: Account) -> Iterable[Finding]:
    filled = filled_by_tag(account.book)
    guarded = {holding.run_id for holding in account.holdings} | account.working
    of_run: dict[int, list[KnownIntent]] = {}
    for intent in account.known:
        of_run.setdefault(intent.run_id, []).append(intent)
    for run_id, intents in of_run.items():
        entry = next((intent for intent in intents if intent.leg is Leg.ENTRY), None)
        if entry is None or run_id in guarded:
            continue
        exits = tuple(intent.tag for intent in intents if intent.leg is Leg.EXIT)
        quantity = filled.get(entry.tag, 0) - sum(filled.get(tag, 0) for tag in exits)
        if quantity > 0 and (left := _left_of(account, Stake(run_id, quantity, entry.tag, exits), entry.key)) > 0:
            yield UnguardedPosition(entry.strategy_id, entry.user_id, run_id, left, entry.key)


def _left_of(account: Account, stake: Stake, key: PositionKey) -> int:
    """What the account still holds of the shares of an unguarded run, after all that are guarded."""
    position, others = account.positions.get(key, NOTHING), account.covers.get(key)
    cover = judge(key, [stake], position, account.book, (), account.is_own, account.read_at)
    return min(cover.covered, position.held - (others.staked if others is not None else 0))


def _under(account: Account, key: PositionKey) -> Iterable[Holding]:
    return (holding for holding in account.holdings if holding.key == key)
