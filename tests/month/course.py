"""The course of the month: from one moment that matters to the next, each of which then takes its real time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from tests.month.judge import Mail, Seen
from tests.month.plan import BOUGHT, LAST_TRY, LATE_BEFORE, UNSAID, ZONE, Month, Outcome, Panicked, Planned
from tests.month.stack import Deployed, deployed, sessions_text
from tests.month.trader import MonthTrader

LEAD = timedelta(seconds=5)
"""How long before a trade the clock jumps to: before a BUY is handed over, which is up to four seconds ahead. What
follows is to happen on time, without a jump that helps."""

AFTER = timedelta(seconds=2)
"""How much longer than a trade's time is waited where there must be none."""

_IN_THE_MORNING: Mapping[Outcome, frozenset[str]] = {
    **dict.fromkeys(BOUGHT, frozenset({"armed"})),
    Outcome.SPECIAL: frozenset({"waiting", "skipped"}),
    Outcome.ANNOUNCED: frozenset({"waiting", "skipped"}),
    Outcome.NO_LOGIN: frozenset({"waiting"}),
    Outcome.AWAY: frozenset({"missed"}),
}
"""What a schedule has recorded of its day when the morning is over, as the API shows it."""

_WITHIN_S = 240.0
"""What comes true at all does so in seconds. With both cores taken by others 25 were too few: the clock jumped past a
morning on which nothing had been armed yet. What is a minute's wait by rule, as a day that is summed up, is within it,
too.
"""

_PRICE, _FALLEN = 1000.00, 880.00
"""The stop-loss is ten percent below the price."""


@dataclass
class Course:
    """One month on one stack. `say` gets a line for each day."""

    month: Month
    on: Deployed
    say: Callable[[str], None]
    traders: dict[str, MonthTrader] = field(default_factory=dict)
    shown_closed: set[tuple[str, date]] = field(default_factory=set)

    def run(self) -> Seen:
        """All of it, and what is known afterwards."""
        self.on.api.start()
        for planned in self.month.strategies:
            self.on.exchange.set_price(f"NSE:{planned.symbol}", _PRICE)
        for name in self.month.owners:
            trader = MonthTrader(name, self.on.api.url, self.on.exchange, self.on.exchange.new_account())
            trader.connect()
            trader.hear_by_mail(self.on.post)
            self.traders[name] = trader
        for planned in self.month.strategies:
            self.traders[planned.owner].schedule(planned)
        for day in self.month.days:
            begun = time.monotonic()
            for at, happen in sorted(self._moments(day), key=lambda moment: moment[0]):
                if at > self.on.clock.now():
                    self.on.clock.jump(at)
                happen()
            self.say(f"{day:%a %Y-%m-%d} passed in {time.monotonic() - begun:.0f} s")
        self.on.clock.jump(self.month.at(self.month.days[-1] + timedelta(days=1), 7, 31))
        self._mails_are_read()
        told = [told for trader in self.traders.values() for told in trader.told()]
        orders = [order for trader in self.traders.values() for order in trader.orders()]
        return Seen(orders, told, frozenset(self.shown_closed), self._mails())

    def _mails(self) -> list[Mail]:
        return [mail for trader in self.traders.values() for mail in trader.mails(self.on.post)]

    def _mails_are_read(self) -> None:
        """Before the quiet hours, and the weekend that is a moment here: a notice of a day ago is not mailed."""
        self._within("every notice is mailed", self._all_is_mailed)

    def _all_is_mailed(self) -> bool:
        """Nothing waits for its mail."""
        return sum(len(mail.lines) for mail in self._mails()) >= sum(len(t.told()) for t in self.traders.values())

    def _moments(self, day: date) -> list[tuple[datetime, Callable[[], None]]]:
        """What happens on a day, and from when on."""
        of_day = partial(self.month.at, day)
        moments: list[tuple[datetime, Callable[[], None]]] = [
            (of_day(6, 0), self._tokens_end),
            (of_day(8, 0), partial(self._log_in, day)),
            (of_day(8, 41), partial(self._settled_in_the_morning, day)),
            (of_day(19, 30), self._mails_are_read),
            (of_day(20, 30), partial(self._look_ahead, day)),
        ]
        for begins, ends in self.month.away:
            if begins.date() == day:
                moments += [(begins, self.on.api.kill), (ends, self.on.api.start)]
                moments.append((ends + timedelta(seconds=1), partial(self._settled_in_the_morning, day)))
        moments += [
            (known_at, partial(self._announce, known_at))
            for known_at in self.month.announced.values()
            if known_at.date() == day
        ]
        moments += [
            moment
            for panic in self.month.panics
            for moment in (
                (panic.at - LEAD, partial(self._panics, panic)),
                (panic.until, self.traders[panic.owner].resume),
            )
            if moment[0].astimezone(ZONE).date() == day
        ]
        if day in self.month.summed_up:
            moments.append((of_day(15, 46), partial(self._summed_up, day)))
        for planned in self.month.strategies:
            moments += self._of_strategy(planned, day)
        return moments

    def _of_strategy(self, planned: Planned, day: date) -> Sequence[tuple[datetime, Callable[[], None]]]:
        outcome = self.month.outcome(planned, day)
        if outcome is Outcome.NOT_ITS_DAY:
            return []
        buy_at, sell_at = self.month.due(planned, day)
        if outcome not in BOUGHT:
            moments = [(buy_at - LEAD - LAST_TRY, partial(self._passes, planned, day, buy_at))]
            if outcome is Outcome.NO_LOGIN:
                moments.append((buy_at - LATE_BEFORE, partial(self._said_aloud, planned, buy_at)))
            return moments
        moments = [(buy_at - LEAD, partial(self._trades, planned, day, "BUY"))]
        if outcome is Outcome.TRADES:
            moments.append((sell_at - LEAD, partial(self._trades, planned, day, "SELL")))
        elif outcome is Outcome.STOPPED:
            moments.append((sell_at - LEAD, partial(self._falls, planned, day, sell_at)))
        return moments

    def _tokens_end(self) -> None:
        """Six in the morning at the broker."""
        for trader in self.traders.values():
            self.on.exchange.expire_token(trader.account.user_id)

    def _log_in(self, day: date) -> None:
        for name, trader in self.traders.items():
            if (name, day) not in self.month.forgotten:
                trader.morning()

    def _settled_in_the_morning(self, day: date) -> None:
        """What is to be started has been, and what is left out was found to be."""
        now = self.on.clock.now()
        if self.month.is_away(now):
            return
        for planned in self.month.strategies:
            outcome = self.month.outcome(planned, day)
            if outcome in _IN_THE_MORNING:
                self._until_day(planned, day, _IN_THE_MORNING[outcome])

    def _trades(self, planned: Planned, day: date, side: str, sold: str = "sold") -> None:
        """The order reaches the exchange and is filled, and the strategy knows it."""
        trader = self.traders[planned.owner]

        def done() -> bool:
            mine = [order for order in trader.orders() if (order.symbol, order.side) == (planned.symbol, side)]
            return any(order.filled and order.at.astimezone(ZONE).date() == day for order in mine)

        filled = self._within(f"the {side} of {planned.symbol} is filled", done)
        if filled and not self.month.is_away(self.on.clock.now()):
            wanted = "bought" if side == "BUY" else sold
            self._within(f"{planned.symbol} is {wanted}", lambda: trader.position(planned) == wanted)

    def _falls(self, planned: Planned, day: date, at: datetime) -> None:
        """The share falls through the stop-loss, and rises again when the position is sold."""
        self._within(f"it is {at}", lambda: self.on.clock.now() >= at)
        self.on.exchange.set_price(f"NSE:{planned.symbol}", _FALLEN)
        self._trades(planned, day, "SELL", "exited_by_sl")
        self.on.exchange.set_price(f"NSE:{planned.symbol}", _PRICE)

    def _panics(self, panic: Panicked) -> None:
        """The trader presses it, and all that he holds is sold."""
        self._within(f"it is {panic.at}", lambda: self.on.clock.now() >= panic.at)
        trader = self.traders[panic.owner]
        pressed = trader.panic()
        self._within(f"{panic.owner} is flat", lambda: trader.is_flat(pressed) and self._has_mailed(trader, "panic"))

    def _said_aloud(self, planned: Planned, due: datetime) -> None:
        """Ten minutes before a trade that will not happen its owner hears of it, in his mailbox too."""
        trader, since = self.traders[planned.owner], due - LATE_BEFORE
        heard = f"{planned.owner} hears that {planned.symbol} will not trade"
        self._within(heard, lambda: self._has_mailed(trader, "will_not_trade", since))

    def _has_mailed(self, trader: MonthTrader, kind: str, since: datetime | None = None) -> bool:
        """Whether he has heard something of that kind, since then, and all of it is in his mailbox."""
        told = [told.text for told in trader.told() if told.kind == kind and (since is None or told.at >= since)]
        return bool(told) and {line for mail in trader.mails(self.on.post) for line in mail.lines}.issuperset(told)

    def _summed_up(self, day: date) -> None:
        """After the close, each who has traded hears what the day has come to."""
        bought = {planned.owner for planned, on, outcome in self.month.each() if on == day and outcome in BOUGHT}

        def told(name: str) -> bool:
            return any(
                one.kind == "day_summary" and one.at.astimezone(ZONE).date() == day for one in self.traders[name].told()
            )

        self._within(f"{day} is summed up for {sorted(bought)}", lambda: all(map(told, bought)))

    def _passes(self, planned: Planned, day: date, due: datetime) -> None:
        """The time at which it would trade goes by, and its schedule has closed the day."""
        self._within(f"it is {due + AFTER}", lambda: self.on.clock.now() > due + AFTER)
        outcome = self.month.outcome(planned, day)
        if outcome not in UNSAID | {Outcome.HOLIDAY, Outcome.PAUSED} and not self.month.is_away(self.on.clock.now()):
            self._until_day(planned, day, frozenset({"missed", "skipped"}))

    def _until_day(self, planned: Planned, day: date, outcomes: frozenset[str]) -> None:
        """Until the schedule has recorded one of these of the day."""
        trader = self.traders[planned.owner]
        recorded = f"{planned.symbol} is {' or '.join(sorted(outcomes))} on {day}"
        self._within(recorded, lambda: trader.day(planned, day).get("outcome") in outcomes)

    def _announce(self, known_at: datetime) -> None:
        """The operator writes down what the exchange has announced by then."""
        known = [day for day, at in self.month.announced.items() if at <= known_at]
        lines = [f'{day} = "closed"\n' for day in sorted(known)]
        self.on.overrides.write_text(sessions_text(self.month) + "".join(lines), encoding="utf-8")

    def _look_ahead(self, day: date) -> None:
        """The traders look at the coming days, if the next of the month is a holiday."""
        coming = next((later for later in self.month.days if later > day), None)
        if coming in self.month.holidays:
            self.shown_closed |= {(name, coming) for name, trader in self.traders.items() if trader.closed(coming)}

    def _within(self, what: str, condition: Callable[[], bool]) -> bool:
        """Whether it comes true in that time. What did not is said, and is for the judge, who sees the whole month."""
        deadline = time.monotonic() + _WITHIN_S
        while not (true := condition()) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not true:
            self.say(f"not within {_WITHIN_S:.0f} s: {what}")
        return true


def run_month(month: Month, say: Callable[[str], None], logs: Path | None = None) -> Seen:
    """Run it on a stack of its own, whose logs are left in `logs`."""
    with deployed(month, logs) as on:
        return Course(month, on, say).run()
