"""The state of a strategy and the table of everything that may happen to it.

Rules for the editor of this file: a phase change that is not in `MOVES` does not exist. An event that is neither in
`MOVES` nor in `IGNORED` is illegal in that phase and leaves the state as it was. `machine.step` is the only
reader that acts on the table; `docs/architecture.md` holds the drawing of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Self, get_args

from actors.domain.money import Paise
from actors.domain.orders.cover import Stake
from actors.domain.orders.order import Order, OrderEvent
from actors.domain.orders.position import Position, PositionStatus, fold_position
from actors.domain.prices.stop_move_log import NO_MOVES, StopMoveLog
from actors.domain.strategy import events as ev
from actors.domain.strategy.spec import Restored, StrategyRun


class Phase(StrEnum):
    """Where a run is between START and its end."""

    SCHEDULED = "scheduled"
    """Waiting for buy_at; nothing was sent."""
    PAUSED = "paused"
    """The entry could not be placed because the broker does not answer (row H3); nothing is open."""
    ENTERING = "entering"
    """The BUY has left us; its outcome is open or unknown."""
    ARMING = "arming"
    """Bought; the EXIT intent is being journalled. A touch of the stop is remembered."""
    GUARDING = "guarding"
    """Bought; stop-loss and SELL timer are armed."""
    EXITING = "exiting"
    """An exit has left us and is followed until the position is flat."""
    EXIT_FAILED = "exit_failed"
    """The exit could not be placed; the position is open and the exit is retried without limit (ruling 3)."""
    ENDED = "ended"
    """Nothing is open and nothing will be sent."""


class RunStatus(StrEnum):
    """`status` of `runtime:{id}` and of the runs table."""

    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    STOPPED = "stopped"


class StatusDetail(StrEnum):
    """Why the status is what it is; stable words for clients."""

    NONE = ""
    WAITING = "waiting_for_buy_time"
    ORDER_UNKNOWN = "order_outcome_unknown"
    ORDER_QUEUED = "order_queued"
    ORDER_BUDGET_USED_UP = "order_budget_used_up"
    ORDER_FAILED = "order_failed"
    ORDER_REJECTED = "order_rejected"
    BROKER_UNREACHABLE = "broker_unreachable"
    SESSION_EXPIRED = "broker_session_expired"
    ENTRIES_HALTED = "entries_halted"
    MISSED_EXECUTION = "missed_execution"
    FEED_DOWN = "feed_down"
    STOPPED_BY_USER = "stopped_by_user"
    CLOSED_OUTSIDE = "closed_outside"
    UNFILLED = "entry_not_filled"
    ACCOUNT_SHORT = "account_short"
    NO_BUYERS = "no_buyers"
    MARKET_CLOSED = "market_closed"
    PRICE_BELOW_STOP = "price_below_stop"
    NOT_LISTED = "symbol_not_listed"
    RESTORED = "restored_from_backup"
    NEEDS_CONFIRMATION = "needs_confirmation"
    ENTRIES_FORBIDDEN = "entries_forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyState:
    """Everything a run knows. `exits` holds one order per sequence number, the last being the current one.

    `stop_loss` in paise; 0 while it waits for the fill that `stop_share` is reckoned from (`StrategyRun`).

    `watched_since`: the stop-loss applies to trades from then on, by the exchange's clock; `level_set_at`: the instant,
    by ours, at which the trader last moved it. `feed_late`: ticks come, too late; `feed_told`: the trader has heard
    that the feed is not what it should be; `unlisted`: the broker does not list the instrument today. `breach_seen`:
    the stop was touched while the exit was being journalled. `exit_event`: what the position is being sold for.
    `exit_failures`: exits in a row that the broker ended without a fill. `exit_alarmed`: the trader knows that the exit
    failed.

    `ask_first`: this incarnation has not seen the account, so its first exit asks. `unproven`: an intraday position of
    an earlier day; neither tick nor timer counts until the account has been asked. `recalled`: how many exits have been
    withdrawn because the account does not cover them. `forgiven`: shares that were sold by hand on `forgiven_on` and
    of which the trader says that they were not this run's.
    `has_derivatives`: futures are written on the share, which changes its hours. `entry_absent`: this very
    incarnation has heard that the broker holds no BUY. `below_stop`: the BUY was withdrawn since the price
    had fallen to the stop-loss. `no_buyers_since`: the exit waits in the queue at the circuit. `told_open`: the trader
    knows that the exit waits until then. `exit_tries`: placements of the exit in a row that failed. `probes`: looks at
    the broker in a row that had no answer. `move_log`: which moves of the stop-loss the log knows. `restored`: the run
    comes from a backup, and no incarnation has yet found out what has happened to it since.
    """

    run: StrategyRun
    phase: Phase
    stop_loss: Paise
    entry: Order
    exits: tuple[Order, ...] = ()
    exit_event: OrderEvent | None = None
    exit_failures: int = 0
    exit_alarmed: bool = False
    watched_since: datetime | None = None
    breach_seen: bool = False
    feed_live: bool = True
    stop_requested: bool = False
    closed_outside: bool = False
    status: RunStatus = RunStatus.RUNNING
    detail: StatusDetail = StatusDetail.WAITING
    message: str = ""
    last_action: str = ""
    last_price: Paise | None = None
    last_tick_at: datetime | None = None
    terminated_at: datetime | None = None
    ask_first: bool = False
    unproven: bool = False
    recalled: int = 0
    forgiven: int = 0
    forgiven_on: date | None = None
    has_derivatives: bool = False
    entry_absent: bool = False
    below_stop: bool = False
    no_buyers_since: datetime | None = None
    told_open: datetime | None = None
    exit_tries: int = 0
    probes: int = 0
    level_set_at: datetime | None = None
    feed_late: bool = False
    feed_told: bool = False
    unlisted: bool = False
    move_log: StopMoveLog = NO_MOVES
    restored: Restored | None = None
    stop_share: int | None = None

    @classmethod
    def scheduled(cls, run: StrategyRun) -> Self:
        """A run as START makes it."""
        message = f"Waiting to buy at {run.buy_at:%Y-%m-%d %H:%M:%S}"
        return cls(
            run=run,
            phase=Phase.SCHEDULED,
            stop_loss=run.stop_loss,
            stop_share=run.stop_share,
            entry=Order(run.entry_intent()),
            message=message,
        )

    @property
    def position(self) -> Position:
        """Quantities and averages, from this run's own fills."""
        return fold_position(self.entry, self.exits)

    @property
    def open_quantity(self) -> int:
        """Shares this run still holds, as far as its own orders tell."""
        return self.position.open_quantity

    def stake(self, today: date) -> Stake:
        """What this run has in its account's position by its own fills, on this day of its exchange."""
        return Stake(
            self.run.run_id,
            max(self.open_quantity, 0),
            self.entry.intent.tag,
            tuple(order.intent.tag for order in self.exits),
            self.forgiven if self.forgiven_on == today else 0,
        )

    @property
    def position_status(self) -> PositionStatus:
        """The position in the words of the status (row L1)."""
        if self.phase is Phase.ENDED:
            return self._final_position()
        return _POSITION[self.phase]

    def _final_position(self) -> PositionStatus:
        if self.entry.filled_quantity == 0:
            failed = self.detail in _BUY_FAILED
            return PositionStatus.BUY_FAILED if failed else PositionStatus.NONE
        if self.detail is StatusDetail.NEEDS_CONFIRMATION:
            return PositionStatus.BOUGHT
        stopped_out = self.exit_event is OrderEvent.STOPLOSS and not self.closed_outside
        return PositionStatus.EXITED_BY_SL if stopped_out else PositionStatus.SOLD


_BUY_FAILED = frozenset(
    {
        StatusDetail.ORDER_FAILED,
        StatusDetail.ORDER_REJECTED,
        StatusDetail.ORDER_BUDGET_USED_UP,
        StatusDetail.UNFILLED,
        StatusDetail.ACCOUNT_SHORT,
        StatusDetail.NOT_LISTED,
    }
)
_POSITION = {
    Phase.SCHEDULED: PositionStatus.NONE,
    Phase.PAUSED: PositionStatus.NONE,
    Phase.ENTERING: PositionStatus.BUYING,
    Phase.ARMING: PositionStatus.BOUGHT,
    Phase.GUARDING: PositionStatus.BOUGHT,
    Phase.EXITING: PositionStatus.SELLING,
    Phase.EXIT_FAILED: PositionStatus.SELLING,
}

_P = Phase
_EXITS = frozenset({_P.EXITING, _P.EXIT_FAILED, _P.ENDED})
"""What a working exit can become."""


def _to(*phases: Phase) -> frozenset[Phase]:
    return frozenset(phases)


MOVES: Mapping[Phase, Mapping[type[ev.Event], frozenset[Phase]]] = {
    _P.SCHEDULED: {
        ev.TimerFired: _to(_P.SCHEDULED, _P.ENTERING, _P.ENDED),
        ev.OrderReported: _to(_P.ENTERING, _P.ARMING, _P.ENDED),  # sent by an incarnation that died before it said so
        ev.StopRequested: _to(_P.ENDED),
        ev.RunRecovered: _to(_P.SCHEDULED, _P.ENTERING, _P.ARMING) | _EXITS,
    },
    _P.PAUSED: {
        ev.TimerFired: _to(_P.PAUSED, _P.ENDED),
        ev.OrderReported: _to(_P.ENTERING, _P.ARMING, _P.ENDED),  # the broker had it all the same
        ev.BrokerRestored: _to(_P.ENTERING, _P.ENDED),
        ev.StopRequested: _to(_P.ENDED),
        ev.RunRecovered: _to(_P.PAUSED, _P.ENTERING, _P.ARMING) | _EXITS,
    },
    _P.ENTERING: {
        ev.OrderReported: _to(_P.ENTERING, _P.ARMING, _P.ENDED),
        ev.PlacementFailed: _to(_P.ENTERING, _P.PAUSED, _P.ENDED),
        ev.RunRecovered: _to(_P.ENTERING, _P.ARMING) | _EXITS,
    },
    _P.ARMING: {
        ev.IntentArmed: _to(_P.GUARDING, _P.EXITING),
        ev.OrderReported: _to(_P.ARMING) | _EXITS,
        ev.PositionClosedOutside: _to(_P.ENDED),
        ev.ClosedByTrader: _to(_P.ENDED),
        ev.CoverRead: _to(_P.ARMING, _P.ENDED),
        ev.RunRecovered: _to(_P.ARMING) | _EXITS,
    },
    _P.GUARDING: {
        ev.TimerFired: _to(_P.GUARDING, _P.EXITING),
        ev.TickReceived: _to(_P.GUARDING, _P.EXITING),
        ev.OrderReported: _to(_P.GUARDING) | _EXITS,  # an exit sent by another incarnation is adopted
        ev.StopRequested: _to(_P.EXITING),
        ev.PositionClosedOutside: _to(_P.ENDED),
        ev.ClosedByTrader: _to(_P.ENDED),
        ev.CoverRead: _to(_P.GUARDING, _P.ENDED),
        ev.RunRecovered: _to(_P.GUARDING) | _EXITS,
        ev.StopLossTriggered: _to(_P.GUARDING, _P.EXITING),
    },
    _P.EXITING: {
        ev.OrderReported: _EXITS,
        ev.PlacementFailed: _EXITS,
        ev.PositionClosedOutside: _to(_P.EXITING, _P.ENDED),
        ev.ClosedByTrader: _to(_P.EXITING, _P.ENDED),
        ev.RunRecovered: _EXITS,
    },
    _P.EXIT_FAILED: {
        ev.TimerFired: _to(_P.EXIT_FAILED, _P.EXITING),
        ev.OrderReported: _EXITS,  # the order we thought absent turned up
        ev.BrokerRestored: _to(_P.EXITING),
        ev.StopRequested: _to(_P.EXITING),
        ev.PositionClosedOutside: _to(_P.ENDED),
        ev.ClosedByTrader: _to(_P.ENDED),
        ev.RunRecovered: _EXITS,
    },
    _P.ENDED: {},
}
"""Phase → event → phases the run may be in afterwards. A row that holds its own phase: the event may also change none,
as a duplicate or a late update does.
"""

_NEWS: frozenset[type[ev.Event]] = frozenset({ev.FeedLost, ev.FeedRestored, ev.OrderQueued, ev.NoBuyers})
_LIVE = _NEWS | {ev.StopLossMoved}
_UNGUARDED = _LIVE | {ev.TickReceived, ev.StopLossTriggered}
_UNPLACED = frozenset({ev.PlacementFailed, ev.PlacementUnresolved})

IGNORED: Mapping[Phase, frozenset[type[ev.Event]]] = {
    _P.SCHEDULED: _UNGUARDED | {ev.BrokerRestored},
    _P.PAUSED: _UNGUARDED | _UNPLACED,
    _P.ENTERING: _UNGUARDED | {ev.PlacementUnresolved, ev.BrokerRestored, ev.StopRequested, ev.TimerFired},
    _P.ARMING: _UNGUARDED | _UNPLACED | {ev.BrokerRestored, ev.StopRequested, ev.TimerFired, ev.ExitUncovered},
    _P.GUARDING: _LIVE | _UNPLACED | {ev.BrokerRestored, ev.IntentArmed, ev.ExitUncovered},
    _P.EXITING: _UNGUARDED
    | {ev.PlacementUnresolved, ev.BrokerRestored, ev.StopRequested, ev.TimerFired}
    | {ev.IntentArmed, ev.ExitUncovered, ev.CoverRead},
    _P.EXIT_FAILED: _UNGUARDED | _UNPLACED | {ev.IntentArmed, ev.ExitUncovered, ev.CoverRead},
    _P.ENDED: frozenset(get_args(ev.Event)) - {ev.StopLossMoved},
}
"""Phase → events that may happen there and never change the phase, whatever else they change: a price, a message, the
stop-loss, or nothing at all. Of what has ended, all but a new stop-loss.
"""

TRANSITIONS: Mapping[Phase, Mapping[type[ev.Event], frozenset[Phase]]] = {
    phase: {**moves, **dict.fromkeys(IGNORED[phase], _to(phase))} for phase, moves in MOVES.items()
}
"""Both in one: phase → event → phases the run may be in afterwards."""
