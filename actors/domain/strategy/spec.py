"""What one START fixes for its run: the strategy as the trader wrote it, and the instants of its session."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import Instrument, IntentId, Leg, Product, Side, order_tag
from actors.domain.instrument_list_day import INDIA
from actors.domain.money import Paise
from actors.domain.orders.order import Intent, OrderEvent
from actors.domain.prices.stop_share import WHOLE
from actors.domain.session import MISSED_GRACE, LateExit


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRun:
    """One START of one strategy (rows C1, D1). Quantity in shares, stop-loss in paise, instants timezone-aware.

    `tag_key` is the run's own secret for order tags. `late_exit` and `missed_grace` are the operator's settings.
    `broker`: where the account is; the run hears the prices of that one alone. `stop_share`: the stop-loss is this many
    hundredths of a percent below the average fill, on the grid of `tick` paise; `stop_loss` is 0 then until the fill.
    """

    run_id: int
    strategy_id: int
    user_id: int
    account_id: int
    instrument: Instrument
    product: Product
    quantity: int
    stop_loss: Paise
    buy_at: datetime
    sell_at: datetime
    tag_key: bytes
    late_exit: LateExit = LateExit.SELL
    missed_grace: timedelta = MISSED_GRACE
    broker: str = ""
    stop_share: int | None = None
    tick: Paise = 0

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise InvalidValue("quantity must be a positive whole number of shares")
        if self.stop_loss < 0 or (self.stop_loss == 0 and self.stop_share is None):
            raise InvalidValue("stop_loss must be above zero")
        if self.stop_share is not None and not 0 < self.stop_share < WHOLE:
            raise InvalidValue("stop_share must be above zero and below a hundred percent")
        if self.buy_at.tzinfo is None or self.sell_at.tzinfo is None:
            raise InvalidValue("buy_at and sell_at must be timezone-aware")
        if self.buy_at >= self.sell_at:
            raise InvalidValue("buy_at must be before sell_at")

    def entry_intent(self) -> Intent:
        """The one wish to buy of this run."""
        intent_id = IntentId(self.run_id, Leg.ENTRY, 1)
        return Intent(intent_id, order_tag(self.tag_key, intent_id), Side.BUY, self.quantity, OrderEvent.BUY)

    def exit_intent(self, seq: int, quantity: int, event: OrderEvent = OrderEvent.SELL) -> Intent:
        """The wish to sell `quantity` shares. Stop-loss, timed SELL and STOP all compete for the same one."""
        intent_id = IntentId(self.run_id, Leg.EXIT, seq)
        return Intent(intent_id, order_tag(self.tag_key, intent_id), Side.SELL, quantity, event)


@dataclass(frozen=True, slots=True)
class Restored:
    """The run's journal comes from a backup: what has happened to the run since, only the broker knows.

    `backed_up_at`: the backup has everything up to then. `provable_until`: the last day whose order book shows
    everything that the broker has done since; the book of a later day begins after a session that nothing here saw.
    """

    backed_up_at: datetime
    provable_until: date


def run_label(tradingsymbol: str, quantity: int, buy_at: datetime) -> str:
    """What engineers find a run's actor by, "INFY 10 @10:25:45": fixed for the run, in India's time, and of no user."""
    return f"{tradingsymbol} {quantity} @{buy_at.astimezone(INDIA):%H:%M:%S}"
