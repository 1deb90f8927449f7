"""What of our runs' shares an account still holds: a dated judgement, and the only ground on which anything is sold.

An account is not ours alone. The trader sells by hand, the broker squares off, an order of ours fills late, and Kite
shows one position per exchange, symbol and product for all of them. So a run's shares are what its own orders bought
and have not sold, less what others have sold of the same shares since: a sale by hand counts against the run first,
because a run may end too early, but must never sell what may not be its own (row M1).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from actors.domain.identifiers import Instrument, Leg, Product, Side
from actors.domain.orders.order import OrderReport

PositionKey = tuple[str, str, str]
"""Exchange, tradingsymbol and product: what a position is kept under at Kite (kite.md §1.7)."""

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def position_key(instrument: Instrument, product: Product) -> PositionKey:
    """The key of a position."""
    return instrument.exchange, instrument.tradingsymbol, product.value


def name_of(key: PositionKey) -> str:
    """A position in words for a trader: `INFY (MIS)`."""
    return f"{key[1]} ({key[2]})"


@dataclass(frozen=True, slots=True)
class AccountPosition:
    """What the account shows under one key. `quantity`: today's net position, signed; shares of earlier days stand in
    `opening`, the quantity of the demat account as the day began, which no sale of the day changes (kite.md §1.8).

    Never add a holding's `quantity` to a position: both contain what was sold today. `last_price` in rupees.
    """

    quantity: int = 0
    opening: int = 0
    last_price: Decimal | None = None

    @property
    def held(self) -> int:
        """Shares that are there now; negative when the account is short."""
        return self.quantity + self.opening


NOTHING = AccountPosition()


@dataclass(frozen=True, slots=True)
class Stake:
    """What one run has in a position by its own fills.

    `exit_tags` are those of all exits it may have sent. `forgiven`: shares sold by hand today of which the trader says
    that they were not this run's.
    """

    run_id: int
    quantity: int
    entry_tag: str
    exit_tags: tuple[str, ...] = ()
    forgiven: int = 0

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of all orders of the run."""
        return self.entry_tag, *self.exit_tags


@dataclass(frozen=True, slots=True)
class OwnIntent:
    """An intent of the journal: which run's, which leg, and under which key it trades."""

    run_id: int
    leg: Leg
    tag: str
    key: PositionKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """The judgement on one key: of `staked` shares that our open runs have bought, `covered` are still theirs to sell.

    `held` is what the account shows, `sold_outside` what others have sold out of our runs' shares. `read_at`: just
    before the reading began, in seconds of the monotonic clock. `runs`: whose stakes were judged.
    """

    key: PositionKey
    staked: int
    covered: int
    held: int
    sold_outside: int
    runs: frozenset[int]
    read_at: float

    @property
    def lacking(self) -> int:
        """Shares that our runs have bought and that the account does not hold for them."""
        return self.staked - self.covered

    def reason(self) -> str:
        """Why shares are lacking, as far as the account tells, in one sentence part for a trader."""
        what = name_of(self.key)
        if self.sold_outside:
            return f"{self.sold_outside} {what} were sold outside TradeActors, which counts against the strategy first"
        if self.held < 0:
            return f"the account is short of {-self.held} {what}"
        return f"the account holds {self.held} {what} of {self.staked}: squared off, or converted to another product"


def judge(
    key: PositionKey,
    stakes: Sequence[Stake],
    position: AccountPosition,
    book: Sequence[OrderReport],
    intents: Collection[OwnIntent],
    is_own: Callable[[str], bool],
    read_at: float,
) -> Cover:
    """What of the stakes is covered, by the position, the whole order book of the day, and every intent of ours.

    `is_own`: whether a tag is one of ours.
    """
    filled = filled_by_tag(book)
    entered = _entered_at(book)
    pool = [(_own(stake, filled), entered.get(stake.entry_tag, _FIRST)) for stake in stakes]
    staked = sum(quantity for quantity, _ in pool)
    left_over = list(_left_over(key, stakes, intents, filled, entered))
    forgiven = max((stake.forgiven for stake in stakes), default=0)
    lost = _lost([*pool, *left_over], _sold_by_others(key, book, is_own), forgiven)
    absorbed = sum(quantity for quantity, _ in left_over)
    sold_outside = max(0, min(lost - absorbed, staked))
    return Cover(
        key=key,
        staked=staked,
        covered=max(0, min(staked - sold_outside, position.held)),
        held=position.held,
        sold_outside=sold_outside,
        runs=frozenset(stake.run_id for stake in stakes),
        read_at=read_at,
    )


def filled_by_tag(book: Iterable[OrderReport]) -> Mapping[str, int]:
    """Shares filled under each tag."""
    filled: dict[str, int] = {}
    for order in book:
        if order.tag is not None:
            filled[order.tag] = filled.get(order.tag, 0) + order.filled_quantity
    return filled


def outstanding(stake: Stake, book: Iterable[OrderReport]) -> int:
    """Shares that exits of the run, live in the book, may still sell."""
    return sum(
        order.quantity - order.filled_quantity
        for order in book
        if order.tag in stake.exit_tags and not order.settled_stage.terminal
    )


def waiting_by_hand(key: PositionKey, book: Iterable[OrderReport], is_own: Callable[[str], bool]) -> int:
    """Shares that live sell orders of others may still sell of the same shares."""
    return sum(
        order.quantity - order.filled_quantity
        for order in book
        if not order.settled_stage.terminal and _sold_by_other(key, order, is_own)
    )


def _own(stake: Stake, filled: Mapping[str, int]) -> int:
    """By the book, if the run was entered today: its own word may lag behind its exits."""
    if stake.entry_tag not in filled:
        return stake.quantity
    sold = sum(filled.get(tag, 0) for tag in stake.exit_tags)
    return max(0, min(stake.quantity, filled[stake.entry_tag] - sold))


def _entered_at(book: Iterable[OrderReport]) -> Mapping[str, datetime]:
    """When the broker took each tagged order on; one of an earlier day was there from the first."""
    return {
        order.tag: order.terms.placed_at
        for order in book
        if order.tag is not None and order.terms is not None and order.terms.placed_at is not None
    }


def _left_over(
    key: PositionKey,
    stakes: Iterable[Stake],
    intents: Iterable[OwnIntent],
    filled: Mapping[str, int],
    entered: Mapping[str, datetime],
) -> Iterable[tuple[int, datetime]]:
    """What ended runs have bought today and not sold: sales by hand took those shares first."""
    open_runs = {stake.run_id for stake in stakes}
    rest: dict[int, int] = {}
    since: dict[int, datetime] = {}
    for intent in intents:
        if intent.run_id in open_runs or not _same_shares(key, intent.key):
            continue
        sign = 1 if intent.leg is Leg.ENTRY else -1
        rest[intent.run_id] = rest.get(intent.run_id, 0) + sign * filled.get(intent.tag, 0)
        if intent.leg is Leg.ENTRY:
            since[intent.run_id] = entered.get(intent.tag, _FIRST)
    return ((quantity, since.get(run_id, _FIRST)) for run_id, quantity in rest.items() if quantity > 0)


def _sold_by_others(
    key: PositionKey, book: Iterable[OrderReport], is_own: Callable[[str], bool]
) -> Iterable[tuple[datetime, int]]:
    """When and how much others have sold of these shares today; what has no time was sold last."""
    for order in book:
        if order.filled_quantity and _sold_by_other(key, order, is_own):
            at = order.terms.updated_at if order.terms is not None else None
            yield at or _LAST, order.filled_quantity


def _lost(pool: Sequence[tuple[int, datetime]], sales: Iterable[tuple[datetime, int]], forgiven: int) -> int:
    """Shares of the pool that the sales took, each from what had been bought by then; the first are forgiven."""
    lost = 0
    for at, quantity in sorted(sales):
        there = sum(bought for bought, since in pool if since <= at)
        taken = min(quantity, max(0, there - lost))
        spared = min(taken, forgiven)
        forgiven -= spared
        lost += taken - spared
    return lost


def _sold_by_other(key: PositionKey, order: OrderReport, is_own: Callable[[str], bool]) -> bool:
    terms = order.terms
    return (
        terms is not None
        and terms.side == Side.SELL
        and not (order.tag is not None and is_own(order.tag))
        and _same_shares(key, (terms.exchange, terms.tradingsymbol, terms.product))
    )


def _same_shares(key: PositionKey, other: PositionKey) -> bool:
    """Shares of the demat account can be sold on either exchange; an intraday position is of one exchange alone."""
    return other == key or (key[2] == Product.CNC and other[1:] == key[1:])


def shares_once(positions: Mapping[PositionKey, AccountPosition]) -> dict[PositionKey, int]:
    """What an account holds or owes, each share once: those of the demat account stand under every exchange."""
    seen, shares = set[tuple[str, str]](), dict[PositionKey, int]()
    for key, position in sorted(positions.items(), key=lambda row: (not row[1].quantity, row[0][0] != "NSE", row[0])):
        opening = 0 if key[1:] in seen else position.opening
        if position.opening:
            seen.add(key[1:])
        if position.quantity + opening:
            shares[key] = position.quantity + opening
    return shares
