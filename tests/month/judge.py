"""Judges the month: by the exchange's ledger, by what the app showed, and by each trader's notices. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tests.month.plan import BOUGHT, LATE_BEFORE, UNSAID, ZONE, Month, Outcome, Planned

AT_MOST_LATE = timedelta(seconds=3)
"""After its time, an order reaches the exchange within this, on a machine that does other things too."""

NOT_TRADING = frozenset({"will_not_trade", "login_needed", "schedule"})
"""Kinds of notices that say that something does not trade."""

SALES = {Outcome.TRADES: "exit_time", Outcome.STOPPED: "exit_stop", Outcome.PANIC: "exit_manual"}
"""The kind of the notice of a sale."""

MAILED_WITHIN = timedelta(seconds=20)
"""In this time a notice of a panic is with the mail server."""

PASSING = frozenset({"feed_lost", "guard_lost", "exit_trouble", "unknown_outcome"})
"""Kinds of notices about a state in which money is at risk, and which must end."""


@dataclass(frozen=True)
class Order:
    """An order in the exchange's ledger, whatever its outcome was."""

    owner: str
    symbol: str
    side: str
    at: datetime
    filled: int


@dataclass(frozen=True)
class Told:
    """A notice in the inbox. `strategy`: its own, if it is about one only; `lasts`, `resolves`: as the app has them."""

    owner: str
    kind: str
    text: str
    at: datetime
    strategy: Planned | None = None
    lasts: bool = False
    resolves: bool = False

    def is_about(self, planned: Planned) -> bool:
        """Whether it concerns that strategy."""
        if self.owner != planned.owner:
            return False
        return self.strategy == planned or (self.strategy is None and planned.symbol in self.text)

    def is_about_that_of(self, other: "Told") -> bool:
        """Whether both concern the same strategy."""
        return self.strategy == other.strategy or (other.strategy is not None and self.is_about(other.strategy))


@dataclass(frozen=True)
class Mail:
    """A mail in the trader's mailbox: a line for each notice, and when it was written."""

    owner: str
    lines: tuple[str, ...]
    at: datetime


@dataclass(frozen=True)
class Seen:
    """What is known after the month.

    `shown_closed`: days that each trader's own overview (`GET /schedule`) called closed on the evening before.
    """

    orders: Sequence[Order]
    told: Sequence[Told]
    shown_closed: frozenset[tuple[str, date]] = frozenset()
    mails: Sequence[Mail] = ()


@dataclass(frozen=True)
class Verdict:
    """Of one strategy on one day. `wrong`: a sentence for each broken promise; `said`: what its owner heard."""

    planned: Planned
    day: date
    outcome: Outcome
    said: str
    wrong: tuple[str, ...]


def judge(month: Month, seen: Seen) -> list[Verdict]:
    """Every strategy on every day."""
    return [_verdict(month, seen, planned, day, outcome) for planned, day, outcome in month.each()]


def strays(month: Month, seen: Seen) -> list[str]:
    """Orders that no plan knows, and notices of a state that was never said to be over."""
    known = {(planned.owner, planned.symbol, day) for planned, day, _ in month.each()}
    unknown = [o for o in seen.orders if (o.owner, o.symbol, o.at.astimezone(ZONE).date()) not in known]
    found = [f"{o.owner}: an order for {o.symbol} at {o.at:%Y-%m-%d %H:%M:%S} that nobody has planned" for o in unknown]
    left = [told for name in month.owners for told in _unfinished([one for one in seen.told if one.owner == name])]
    found += [f"{told.owner}: {told.kind} was never said to be over: {told.text}" for told in left]
    for owner in month.owners:
        found += [f"{owner}: {wrong}" for wrong in (*_mailed(seen, owner), *_summed_up(month, seen, owner))]
    return found


def _mailed(seen: Seen, owner: str) -> Iterator[str]:
    """Every notice of the inbox is in the mailbox once."""
    wanted = Counter(told.text for told in seen.told if told.owner == owner)
    came = Counter(line for mail in seen.mails if mail.owner == owner for line in mail.lines)
    for text in wanted | came:
        if came[text] != wanted[text]:
            yield f"{wanted[text]} times in the inbox and {came[text]} times in the mailbox: {text}"


def _was_mailed(seen: Seen, told: Told, by: datetime) -> bool:
    """Whether a notice was in the mailbox by that time, and not before it was made."""
    since = told.at - timedelta(seconds=1)  # mails are dated by whole seconds
    return any(m.owner == told.owner and told.text in m.lines and since <= m.at <= by for m in seen.mails)


def _summed_up(month: Month, seen: Seen, owner: str) -> Iterator[str]:
    """At most one summary of a day, of what was traded on it; on days whose summaries are waited for, one."""
    for day in month.days:
        traded = sum(planned.owner == owner and on == day and o in BOUGHT for planned, on, o in month.each())
        told = [
            one.text
            for one in seen.told
            if (one.owner, one.kind) == (owner, "day_summary") and one.at.astimezone(ZONE).date() == day
        ]
        if len(told) > 1 or (not told and traded and day in month.summed_up):
            yield f"{len(told)} summaries of {day}"
        for text in told:
            counted = re.match(r"Today: (\d+) trades?, [+−]?₹[\d,.]+ before charges", text)
            if counted is None or int(counted[1]) != traded:
                yield f"{traded} trades on {day}, and the summary says: {text}"


def _unfinished(told: Sequence[Told]) -> list[Told]:
    """States at risk that neither another notice nor the sale has ended. `told`: of one trader, oldest first."""
    lasting: list[Told] = []
    for one in told:
        if one.kind.startswith("exit_") and not one.lasts:
            lasting = [other for other in lasting if not other.is_about_that_of(one)]
        elif one.kind in PASSING and one.resolves:
            lasting = [other for other in lasting if not (other.kind == one.kind and other.is_about_that_of(one))]
        elif one.kind in PASSING and one.lasts:
            lasting.append(one)
    return lasting


def _verdict(month: Month, seen: Seen, planned: Planned, day: date, outcome: Outcome) -> Verdict:
    orders = [
        order
        for order in seen.orders
        if (order.owner, order.symbol) == (planned.owner, planned.symbol) and order.at.astimezone(ZONE).date() == day
    ]
    if outcome in BOUGHT:
        found = _notices(seen, planned, day)
        wrong = [*_traded(planned, month.due(planned, day), orders), *_told_of_trades(found, SALES[outcome])]
        said = next((told.text for told in found if told.kind == SALES[outcome]), "")
        if outcome is Outcome.PANIC:
            wrong += _told_of_panic(month, seen, planned, day)
        return Verdict(planned, day, outcome, "" if outcome is Outcome.TRADES else said, tuple(wrong))
    wrong = [f"{order.side} of {order.filled} at {order.at:%H:%M:%S}, though {outcome}" for order in orders]
    said, unsaid = _said(month, seen, planned, day, outcome)
    return Verdict(planned, day, outcome, said, (*wrong, *unsaid))


def _traded(planned: Planned, dues: tuple[datetime, datetime], orders: Sequence[Order]) -> Iterable[str]:
    """Once each, on time, the whole quantity."""
    for side, due in zip(("BUY", "SELL"), dues, strict=True):
        made = [order for order in orders if order.side == side]
        if len(made) != 1:
            yield f"{len(made)} orders to {side}"
        for order in made:
            if not due <= order.at <= due + AT_MOST_LATE:
                yield f"{side} at {order.at:%H:%M:%S}, due at {due:%H:%M:%S}"
            if order.filled != planned.quantity:
                yield f"{side} of {order.filled} shares, not of {planned.quantity}"


def _notices(seen: Seen, planned: Planned, day: date) -> list[Told]:
    """What was said of that strategy on that day."""
    return [told for told in seen.told if told.is_about(planned) and told.at.astimezone(ZONE).date() == day]


def _told_of_trades(found: Sequence[Told], sale: str) -> Iterable[str]:
    """Of the purchase and of the sale once each, and of nothing that did not come."""
    for kind in ("fill_entry", *SALES.values()):
        number, wanted = sum(told.kind == kind for told in found), int(kind in {"fill_entry", sale})
        if number != wanted:
            yield f"told {number} times of {kind}"
    denied = [told for told in found if told.kind in NOT_TRADING and not told.resolves]
    ended = [told for told in found if told.resolves]
    if len(denied) > len(ended):
        yield f"traded, but it was said: {denied[-1].text}"


def _told_of_panic(month: Month, seen: Seen, planned: Planned, day: date) -> Iterable[str]:
    """That it was called, what it ends and pauses, and what it has come to; each once."""
    called_at = month.panic_of(planned, day).at
    for begins in ("PANIC: nothing more is bought, ", "PANIC is done. All is flat."):
        told = [
            one
            for one in seen.told
            if (one.owner, one.kind) == (planned.owner, "panic") and one.at >= called_at - AT_MOST_LATE
            if one.text.startswith(begins)
        ]
        if len(told) != 1:
            yield f"told {len(told)} times: {begins}…"
        elif not _was_mailed(seen, told[0], called_at + MAILED_WITHIN):
            yield f"not mailed at once: {told[0].text}"


def _said(month: Month, seen: Seen, planned: Planned, day: date, outcome: Outcome) -> tuple[str, list[str]]:
    """What the owner heard of a day without a trade, and what is wrong with that."""
    if outcome in UNSAID:
        heard = [told for told in _notices(seen, planned, day) if told.kind in NOT_TRADING]
        return "", [f"it is not its day, and yet it was said: {told.text}" for told in heard]
    if outcome is Outcome.HOLIDAY:
        shown = (planned.owner, day) in seen.shown_closed
        return ("the app showed it the evening before", []) if shown else ("", ["the app did not show it before"])
    buy_at, _ = planned.at(day)
    heard = [told for told in _notices(seen, planned, day) if told.kind in NOT_TRADING and not told.resolves]
    before = [told for told in heard if told.at < buy_at]
    if outcome is Outcome.PAUSED:
        panic = month.panic_of(planned, day)
        paused = [
            told.text
            for told in seen.told
            if (told.owner, told.kind) == (planned.owner, "panic") and "schedules are paused" in told.text
            if panic.at - AT_MOST_LATE <= told.at < buy_at
        ]
        return (paused[0], []) if paused else ("", ["nothing was said of the pause"])
    if outcome is Outcome.NO_LOGIN and before:
        # that its start was given up is another fact, which comes after the last try
        spoken = [told for told in before if told.kind == "will_not_trade" and not told.text.startswith("Missed:")]
        aloud = [told for told in spoken if told.at >= buy_at - LATE_BEFORE]
        if len(aloud) != 1 or planned.symbol not in aloud[0].text:
            return "", [f"said {len(aloud)} times aloud in the last ten minutes"]
        if not _was_mailed(seen, aloud[0], buy_at):
            return "", [f"not mailed before its time: {aloud[0].text}"]
    if outcome is Outcome.AWAY:
        back = next(ends for begins, ends in month.away if begins.date() == day)
        after = [told for told in heard if told.at >= min(back, buy_at)]
        return (after[0].text, []) if after else ("", ["nothing was said when the API was back"])
    return (before[0].text, []) if before else ("", ["nothing was said beforehand"])


def orders_of(owner: str, ledger: Mapping[str, Any]) -> list[Order]:
    """Every order of an account that reached the exchange, refused ones too. `ledger`: that of the account alone."""
    filled = {row["order_id"]: row["filled_quantity"] for kept in ledger["accounts"].values() for row in kept["orders"]}
    return [
        Order(
            owner,
            row["form"]["tradingsymbol"],
            row["transaction_type"],
            datetime.fromtimestamp(row["received_ns"] / 1e9, ZONE),
            filled.get(row["order_id"], 0),
        )
        for row in ledger["requests"]
        if row["method"] == "POST"
    ]
