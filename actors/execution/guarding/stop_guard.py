"""The second guard: stop-losses that strategies have armed where orders leave (row M4, decision 19).

The first guard is the strategy itself, which hears prices from its router. This one hears them by ways of its own
(`GuardedMarket`), so that no death of one process and no lost connection blinds both. The guard that sees the breach
first sends; both name the same intent, so there is one order. The strategy owns the stop-loss: it arms, moves and
disarms, and what it says last holds.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta

import structlog

from actors.domain.identifiers import Instrument, IntentId
from actors.domain.instrument_list_day import INDIA, list_day
from actors.domain.money import Paise
from actors.domain.orders.order import OrderReport
from actors.domain.prices.stop_loss import is_breached
from actors.domain.prices.tick import Tick
from actors.domain.strategy.events import Event, OrderReported
from actors.execution.guarding.guarded_market import GuardedMarket
from actors.execution.guarding.tick_streams import TickStreams
from actors.ports.common import Clock
from actors.ports.execution import ClaimsUnavailable, ClaimVerdict, ExecutionStreams, GuardShown, OrderClaims
from actors.ports.strategy import GuardAnswer, Holding, OrderCommand, StopOrder
from actors.prices.stream_judge import StreamJudge

log = structlog.get_logger(__name__)

RENEWED_WITHIN_S = 15.0
"""A strategy that has not renewed its stop for this long is taken to be dead: the guard goes on, and asks before it
sells."""

_LET_GO_S = 0.05

_HEARD_WITHIN_S = 2.0

_LOOK_AROUND_S = 1.0

_Turn = tuple[int, int, int]
"""Run, epoch and number of a holding: what comes later is greater."""


@dataclass(slots=True)
class _Armed:
    """A stop to be watched. `in_doubt`: it is not known whether an exit of it has left us before. `watched`: prices of
    its instrument are compared with its level, for which the instrument's token must have been heard. `judge`: of the
    stream that they come on.
    """

    stop: StopOrder
    in_doubt: bool
    watched: bool
    judge: StreamJudge = field(default_factory=StreamJudge)


@dataclass(slots=True)
class _Known:
    """What a strategy has said last, and when, by the monotonic clock."""

    turn: _Turn
    holding: Holding
    at: float


class StopGuard:
    """The stops of one execution actor.

    `fire(command, price)` is called for each stop that is touched, once, in the order of the distance; it must return
    at once, False if it sends nothing. `price` is None if an exit that had begun before is taken up again.
    `tell(strategy_id, event)` reports.
    """

    def __init__(
        self,
        *,
        streams: ExecutionStreams,
        claims: OrderClaims,
        clock: Clock,
        fire: Callable[[OrderCommand, Paise | None], bool],
        tell: Callable[[OrderCommand, Event], Awaitable[None]],
    ) -> None:
        self._streams = streams
        self._claims, self._clock = claims, clock
        self._fire, self._tell = fire, tell
        self._markets: dict[str, GuardedMarket] = {}
        self._market_of: dict[int, GuardedMarket] = {}
        self._up: set[int] = set()
        self._known: dict[int, _Known] = {}
        self._armed: dict[int, _Armed] = {}
        self._begun: dict[int, tuple[int, int]] = {}
        self._begun_at: dict[int, float] = {}
        self._absent_at: dict[int, float] = {}
        self._turn = 0
        self.changed = asyncio.Event()
        """Set when what `shown` says may have changed."""

    # --- what strategies say --------------------------------------------------------------------------------------

    async def take(self, holding: Holding, find: Callable[[str], Awaitable[OrderReport | None]]) -> GuardAnswer:
        """Arm, move or disarm, as the holding says; whether its stop is armed, and whether its prices come.

        `find` looks for the order of a tag in the account's book, by a read that begins then.

        Raises:
            BrokerUnavailable: the book could not be read, so that nothing is armed yet.
        """
        turn = (holding.run_id, holding.epoch, holding.number)
        known = self._known.get(holding.strategy_id)
        if known is not None and known.turn > turn:
            return GuardAnswer()
        self._known[holding.strategy_id] = _Known(turn, holding, self._clock.monotonic())
        if known is None or known.turn != turn:
            self.changed.set()
        stop = holding.stop
        if stop is None or self._has_begun(stop.command):
            self._disarm(holding.strategy_id)
            if stop is not None:
                await self._tell_again(stop.command, find)
            return GuardAnswer()
        armed = self._armed.get(holding.strategy_id)
        in_doubt = False
        # a doubt of the first arming, when Redis did not answer, would have the exit wait for its quarantine
        if armed is None or armed.in_doubt or _whose(armed.stop) != _whose(stop):
            doubt = await self._may_be_armed(stop, find)
            if doubt is None or self._known[holding.strategy_id].turn != turn or self._has_begun(stop.command):
                return GuardAnswer()
            in_doubt = doubt
            armed = self._armed.get(holding.strategy_id)
        self._arm(stop, in_doubt=in_doubt)
        return self._answer(stop)

    def is_silent(self, strategy_id: int) -> bool:
        """Whether a strategy that holds something has not said so for long: it is taken to be dead."""
        known = self._known.get(strategy_id)
        return known is not None and self._clock.monotonic() - known.at > RENEWED_WITHIN_S

    def exit_began(self, command: OrderCommand) -> None:
        """An exit of the run is working, for whatever cause: its stop is no longer watched, and not armed again."""
        intent_id, strategy_id = command.intent.id, command.strategy_id
        self._begun[strategy_id] = max(self._begun.get(strategy_id, (0, 0)), (intent_id.run_id, intent_id.seq))
        self._begun_at[strategy_id] = self._clock.monotonic()
        if strategy_id in self._armed:  # letting go wakes other threads, and can wait until the order has left
            asyncio.get_running_loop().call_later(_LET_GO_S, self._let_go, strategy_id)

    async def _tell_again(self, command: OrderCommand, find: Callable[[str], Awaitable[OrderReport | None]]) -> None:
        """A strategy that still guards, long after its exit has begun, has not heard of it."""
        if self._clock.monotonic() - self._begun_at[command.strategy_id] < _HEARD_WITHIN_S:
            return
        if (order := await find(command.intent.tag)) is not None:
            await self._tell(command, OrderReported(command.intent.id, order))

    def exit_absent(self, command: OrderCommand) -> None:
        """It is proven that the broker holds no order of the exit: a strategy that guards on may arm it again."""
        intent_id = command.intent.id
        if self._begun.get(command.strategy_id) == (intent_id.run_id, intent_id.seq):
            self._let_go(command.strategy_id)
            del self._begun[command.strategy_id]
            self._absent_at[command.strategy_id] = self._clock.monotonic()

    def take_up(self, command: OrderCommand) -> bool:
        """Send an exit again that was not placed; False if its strategy has said anything since: it goes on.

        Only on the day of its touch: the book of another does not show who has sold the run's shares.
        """
        known, day = self._known.get(command.strategy_id), command.triggered_at.astimezone(INDIA).date()
        if known is None or known.at > self._absent_at.get(command.strategy_id, 0.0) or self._has_begun(command):
            return False
        midnight = datetime.combine(day + timedelta(days=1), time(), INDIA)
        if self._clock.now() >= midnight:
            return False
        self._begin(replace(command, look_up_first=True, check_position=True, not_after=midnight), None)
        return True

    def _let_go(self, strategy_id: int) -> None:
        armed = self._armed.get(strategy_id)
        if armed is not None and self._has_begun(armed.stop.command):
            self._disarm(strategy_id)

    def _has_begun(self, command: OrderCommand) -> bool:
        intent_id = command.intent.id
        return (intent_id.run_id, intent_id.seq) <= self._begun.get(command.strategy_id, (0, 0))

    async def _may_be_armed(self, stop: StopOrder, find: Callable[[str], Awaitable[OrderReport | None]]) -> bool | None:
        """None: it must not be armed. Else whether an exit of it may have left an actor before this one."""
        command = stop.command
        try:
            verdict: ClaimVerdict | None = await self._claims.foresee(command)
        except ClaimsUnavailable as error:
            log.warning("stop_guard.claim_unknown", strategy_id=command.strategy_id, reason=str(error))
            verdict = None
        if verdict is ClaimVerdict.REFUSED:
            return None
        order = await find(command.intent.tag)
        if order is not None:
            await self._tell(command, OrderReported(command.intent.id, order))
            return None
        if verdict is ClaimVerdict.HELD_BY_ME and not self._has_begun(command):
            self._begin(replace(command, look_up_first=True), None)
            return None
        return verdict is not ClaimVerdict.GRANTED

    def _arm(self, stop: StopOrder, *, in_doubt: bool) -> None:
        strategy_id, before = stop.command.strategy_id, self._armed.get(stop.command.strategy_id)
        token = self._token(stop)
        judge = before.judge if before is not None and _whose(before.stop) == _whose(stop) else StreamJudge()
        self._armed[strategy_id] = _Armed(stop, in_doubt, watched=token is not None, judge=judge)
        if before is not None and before.stop == stop and before.watched is (token is not None):
            return
        if before is not None and _where(before.stop) != _where(stop):
            self._leave(before.stop)
        self.changed.set()
        if token is None:
            self._leave(stop)
            return
        key, market = stop.command.instrument.key, self._market(stop, token)
        market.set_level(key, strategy_id, stop.stop_loss)
        if (latest := market.latest(key)) is not None:  # a breach that still holds is seen
            now = self._clock.now()
            self._judge(strategy_id, Tick.single(latest.token, latest.price, latest.exchange_time, now))

    def _disarm(self, strategy_id: int) -> None:
        armed = self._armed.pop(strategy_id, None)
        if armed is not None:
            self._leave(armed.stop)
            self.changed.set()

    def _leave(self, stop: StopOrder) -> None:
        if (market := self._markets.get(stop.broker)) is not None:
            market.remove_level(stop.command.instrument.key, stop.command.strategy_id)

    # --- prices ---------------------------------------------------------------------------------------------------

    def _market(self, stop: StopOrder, token: int) -> GuardedMarket:
        """The broker's market, which hears the stop's instrument from now on."""
        broker = stop.broker
        market = self._markets.get(broker)
        if market is None:
            streams = TickStreams(self._streams.updates.subscribe, self._up.__contains__, self._clock.monotonic)
            market = GuardedMarket(broker, streams, self._streams.feed, self._clock, self._judge)
            self._markets[broker] = market
        account_id, instrument = stop.command.account_id, stop.command.instrument
        self._market_of[account_id] = market
        market.streams.join(account_id)
        today = Instrument(instrument.exchange, instrument.tradingsymbol, token)
        market.follow(today, list_day(self._clock.now()))
        return market

    def _token(self, stop: StopOrder) -> int | None:
        """Brokers give tokens again, so one counts only on the day on which it was heard, by whichever strategy."""
        heard, today = stop.token_heard_at, list_day(self._clock.now())
        if heard is not None and list_day(heard) == today:
            return stop.token
        market = self._markets.get(stop.broker)
        return market.token_of(stop.command.instrument.key, today) if market is not None else None

    def on_connected(self, account_id: int) -> None:
        """The account's stream is up."""
        self._up.add(account_id)
        if (market := self._market_of.get(account_id)) is not None:
            market.streams.came_up(account_id)
            market.gather()

    def on_lost(self, account_id: int) -> None:
        """It is down; what came over it comes over another account's, if there is one."""
        self._up.discard(account_id)
        if (market := self._market_of.get(account_id)) is not None:
            market.listener.on_lost(account_id, "the account's stream broke")
            market.look_around()
            self.changed.set()

    def on_left(self, account_id: int) -> None:
        """The account's stream is no longer followed."""
        self._up.discard(account_id)
        if (market := self._market_of.pop(account_id, None)) is not None:
            market.listener.on_lost(account_id, "the account is not followed any more")
            market.streams.leave(account_id)
            market.gather()

    def on_heard(self, account_id: int) -> None:
        """Something has arrived on the account's stream."""
        market = self._market_of.get(account_id)
        if market is not None and market.listener.on_heard(account_id):
            self.changed.set()

    def on_tick(self, account_id: int, token: int, price: Paise, traded_at: datetime, sent_at: datetime) -> None:
        """One tick as the broker sent it: see `FeedShell.on_tick`."""
        self.on_heard(account_id)
        if (market := self._market_of.get(account_id)) is not None:
            market.streams.brought(account_id)
            market.listener.on_tick(token, price, traded_at, sent_at)

    def _judge(self, strategy_id: int, tick: Tick) -> None:
        armed = self._armed[strategy_id]
        stop = armed.stop
        if self._has_begun(stop.command):
            return
        if not is_breached(stop.stop_loss, tick, stop.watched_since, stop.level_set_at):
            return
        if self._token(stop) is None:
            return
        command = replace(stop.command, triggered_at=tick.received_at)
        if armed.in_doubt:
            command = replace(command, look_up_first=True)
        if self.is_silent(strategy_id):
            command = replace(command, check_position=True)
        self._begin(command, min(tick.price, tick.low))

    def rehearsed(self) -> OrderCommand | None:
        """What the next armed stop would send, after the same look at a price as a tick's; None without one."""
        if not self._armed:
            return None
        self._turn = (self._turn + 1) % len(self._armed)
        stop = next(itertools.islice(self._armed.values(), self._turn, None)).stop
        market, key = self._markets.get(stop.broker), stop.command.instrument.key
        if market is not None and (tick := market.latest(key)) is not None:
            market.breached_by(key, tick)
            is_breached(stop.stop_loss, tick, stop.watched_since, stop.level_set_at)
        return replace(stop.command, triggered_at=self._clock.now()) if self._token(stop) is not None else None

    def _begin(self, command: OrderCommand, price: Paise | None) -> None:
        self.exit_began(command)
        if not self._fire(command, price):
            self.exit_absent(command)  # a run that goes on after all arms its stop again

    # --- what is said ---------------------------------------------------------------------------------------------

    def _answer(self, stop: StopOrder) -> GuardAnswer:
        armed = self._armed.get(stop.command.strategy_id)
        is_armed = armed is not None and armed.stop == stop and not self._has_begun(stop.command)
        return GuardAnswer(is_armed, armed is not None and self._hears(armed))

    def _hears(self, armed: _Armed) -> bool:
        """Whether its prices come, and count."""
        stop = armed.stop
        market = self._markets.get(stop.broker)
        if market is None or not armed.watched or self._token(stop) is None:
            return False
        status = market.status(stop.command.instrument.key)
        return armed.judge.fault(status, stop.watched_since, self._clock.monotonic()) is None

    def needs_feed(self) -> bool:
        """Whether there is an armed stop whose prices no account's stream brings."""
        return any(market.needs_feed() for market in self._markets.values())

    def deaf(self) -> int:
        """How many armed stops have no prices."""
        return sum(not self._hears(armed) for armed in self._armed.values())

    def silence_s(self) -> float | None:
        """For how long the armed instrument that is silent longest has had no price; None: nothing is armed."""
        silences = [silence for market in self._markets.values() if (silence := market.silence_s()) is not None]
        return max(silences, default=None)

    async def keep_hearing(self) -> None:
        """Until cancelled: whatever no stream of an account brings is asked for elsewhere."""
        while True:
            await asyncio.sleep(_LOOK_AROUND_S)
            for market in self._markets.values():
                if market.look_around():
                    self.changed.set()

    def shown(self) -> Sequence[GuardShown]:
        """The guards of each position whose stop-loss is to be watched."""
        now = self._clock.now()
        return [
            GuardShown(strategy_id, known.holding.run_id, self._guards(strategy_id, known), now)
            for strategy_id, known in self._known.items()
            if known.holding.stop is not None and not self._has_begun(known.holding.stop.command)
        ]

    def _guards(self, strategy_id: int, known: _Known) -> tuple[str, ...]:
        strategy = known.holding.hears and not self.is_silent(strategy_id)
        armed = self._armed.get(strategy_id)
        execution = armed is not None and self._hears(armed)
        return tuple(name for name, guards in (("strategy", strategy), ("execution", execution)) if guards)


def _whose(stop: StopOrder) -> tuple[IntentId, int]:
    return stop.command.intent.id, stop.command.epoch


def _where(stop: StopOrder) -> tuple[str, str]:
    return stop.broker, stop.command.instrument.key
