"""Which notices a recorded step of a strategy makes (row N1): they are written with it, in its own transaction.

The lines of the order log decide, so that no notice is about what is not recorded, and a step that is recorded again
makes the same ones. An order that was only accepted makes none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TypeAlias

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from actors.domain.notices import texts
from actors.domain.notices.notice import Notice, NoticeKind
from actors.domain.orders.log_events import LogWord
from persistence.database.repositories.notifications import end_conditions, knows_of_login, resolve, tell
from persistence.journal.alert_notices import conditions_of_run
from persistence.journal.records import LogRecord, RunUpdate

log = structlog.stdlib.get_logger(__name__)

_ENDS_OF_ORDER = frozenset({LogWord.ORDER_COMPLETE, LogWord.ORDER_CANCELLED, LogWord.ORDER_REJECTED})
_TRIES = "The exit is tried again until it is sold. You can also sell it yourself in your broker's app."
_HELD = frozenset({"market_closed", "missed_execution"})
_CONDITIONS = ("entry", "exit", "feed", "unlisted", "unknown:ENTRY", "unknown:EXIT", "no_buyers")


@dataclass(frozen=True, slots=True)
class ConditionsOver:
    """Something that lasted is over. With a text, the trader hears that; without, the next notice says it."""

    conditions: tuple[str, ...]
    at: datetime
    text: str = ""


_Items: TypeAlias = Iterator[Notice | ConditionsOver]


def notices_of(
    update: RunUpdate, lines: Sequence[LogRecord], sell_at: datetime, zone: tzinfo
) -> list[Notice | ConditionsOver]:
    """What the trader hears of a step, in the order of its lines; instants are shown in `zone`."""
    step = _Step(update, sell_at, zone)
    return [item for line in lines for item in step.of(line)]


async def notify(
    session: AsyncSession, update: RunUpdate, lines: Sequence[LogRecord], sell_at: datetime, zone: tzinfo
) -> None:
    """Write the notices of a step, in the transaction that records the step.

    A fault in making them is logged as an error, and the step is recorded without them: orders wait for the record. A
    user who was asked to log in at the broker, by whatever part, is not asked by a run as well.
    """
    try:
        items = notices_of(update, lines, sell_at, zone)
    except Exception:  # whatever is wrong with a text must not keep an order from its record
        log.exception("notices_not_made", run_id=update.run_id, events=[line.event for line in lines])
        return
    for item in items:
        match item:
            case Notice(kind=NoticeKind.LOGIN_NEEDED) if await knows_of_login(session, update.user_id):
                log.info("login_asked_for_before", run_id=update.run_id)
            case Notice():
                await tell(session, update.user_id, item)
            case ConditionsOver(conditions, at, ""):
                await end_conditions(session, update.user_id, conditions, at)
            case ConditionsOver(conditions, at, text):
                for condition in conditions:
                    await resolve(session, update.user_id, condition, text, at)


@dataclass(frozen=True, slots=True)
class _Step:
    update: RunUpdate
    sell_at: datetime
    zone: tzinfo

    def of(self, line: LogRecord) -> _Items:
        if line.leg == "ENTRY" and line.event in _ENDS_OF_ORDER and line.quantity:
            yield self._over(line, "entry", "unknown:ENTRY")
            yield self._bought(line)
        elif (handler := _HANDLERS.get(line.event)) is not None:
            yield from handler(self, line)

    @property
    def _shares(self) -> str:
        return self.update.symbol

    def _condition(self, name: str) -> str:
        return f"run:{self.update.run_id}:{name}"

    def _notice(
        self,
        line: LogRecord,
        kind: NoticeKind,
        text: str,
        condition: str | None = None,
        *,
        key: str = "",
        brief: str = "",
    ) -> Notice:
        fact = key or f"{line.event}:{line.leg or ''}{line.seq or ''}:{line.occurred_at.timestamp():.6f}"
        return Notice(
            kind=kind,
            key=f"run:{self.update.run_id}:{fact}",
            text=text,
            brief=brief,
            at=line.occurred_at,
            condition=self._condition(condition) if condition else None,
            strategy_id=self.update.strategy_id,
            run_id=self.update.run_id,
        )

    def _over(self, line: LogRecord, *names: str, text: str = "") -> ConditionsOver:
        return ConditionsOver(tuple(map(self._condition, names)), line.occurred_at, text)

    def _bought(self, line: LogRecord) -> Notice:
        filled = line.quantity or 0
        wanted = next((intent.quantity for intent in self.update.intents if intent.leg == "ENTRY"), filled)
        text = texts.bought(self._shares, wanted, filled, line.price, texts.clock(line.occurred_at, self.zone))
        if not self.update.ended and self.update.runtime.position in {"buying", "bought"}:
            stop, sells = texts.price(self.update.runtime.stop_loss_paise), texts.clock(self.sell_at, self.zone)
            text = f"{text} Stop-loss {stop}. Sells {sells}."
        return self._notice(line, NoticeKind.FILL_ENTRY, text, key="bought")

    def ended(self, line: LogRecord) -> _Items:
        own, alerts = map(self._condition, _CONDITIONS), conditions_of_run(self.update.strategy_id, self.update.run_id)
        yield ConditionsOver((*own, *alerts), line.occurred_at)
        runtime = self.update.runtime
        if runtime.status_detail in {"closed_outside", "needs_confirmation", "restored_from_backup"}:
            return  # a line of its own says it
        if runtime.position in {"sold", "exited_by_sl"}:
            kind, how = self._how_sold()
            text = texts.sold(how, self._shares, line.quantity, line.price, runtime.pnl)
            if kind is NoticeKind.EXIT_STOP:
                text = f"{text} The stop-loss was {texts.price(runtime.stop_loss_paise)}."
            yield self._notice(line, kind, text)
        elif runtime.status_detail != "stopped_by_user":
            reason = runtime.message.partition(" – ")[2] or runtime.message
            brief = texts.not_bought(self._shares, "")
            yield self._notice(line, NoticeKind.NOT_BOUGHT, texts.not_bought(self._shares, reason), brief=brief)

    def _how_sold(self) -> tuple[NoticeKind, str]:
        runtime = self.update.runtime
        if runtime.position == "exited_by_sl":
            return NoticeKind.EXIT_STOP, "Stop-loss"
        if runtime.status_detail == "stopped_by_user":
            return NoticeKind.EXIT_MANUAL, "STOP"
        return NoticeKind.EXIT_TIME, ""

    def failed(self, line: LogRecord) -> _Items:
        if line.leg == "EXIT":
            yield self._over(line, "unknown:EXIT")
            yield self._exit_failed(line)
        elif not self.update.ended and self.update.runtime.status == "paused":
            yield self._over(line, "unknown:ENTRY")
            yield self._entry_waits(line)

    def _exit_failed(self, line: LogRecord) -> Notice:
        reason, following = line.reason or "", _TRIES
        if self._login_has_ended:
            reason, following = "your login at the broker has ended", "Log in again, and the exit goes out."
        text = texts.not_sold(self._shares, line.quantity, reason, following)
        brief = texts.not_sold(self._shares, line.quantity, "", following)
        return self._notice(line, NoticeKind.EXIT_TROUBLE, text, "exit", brief=brief)

    def _entry_waits(self, line: LogRecord) -> Notice:
        if self._login_has_ended:
            kind, reason = NoticeKind.LOGIN_NEEDED, "your login at the broker has ended: log in again"
        else:
            kind, reason = NoticeKind.NOT_BOUGHT, line.reason or ""
        following = "Once its time is over it is not bought."
        text = " ".join(filter(None, (f"Not bought yet: {self._shares}.", texts.sentence(reason), following)))
        return self._notice(line, kind, text, "entry", brief=f"Not bought yet: {self._shares}. {following}")

    @property
    def _login_has_ended(self) -> bool:
        return self.update.runtime.status_detail == "broker_session_expired"

    def unknown(self, line: LogRecord) -> _Items:
        leg = line.leg or "EXIT"
        order = "buy" if leg == "ENTRY" else "sell"
        what = f"UNKNOWN: whether the broker has the {order} order of {self._shares}."
        following = "The order book is read until it is known; nothing is sent twice."
        text = " ".join(filter(None, (what, texts.sentence(line.reason or ""), following)))
        yield self._notice(line, NoticeKind.UNKNOWN_OUTCOME, text, f"unknown:{leg}", brief=f"{what} {following}")

    def held(self, line: LogRecord) -> _Items:
        """An exit did not go out at its time, and the position stays open."""
        if line.leg != "ENTRY" and not self.update.ended and self.update.runtime.status_detail in _HELD:
            text = texts.not_sold(self._shares, line.quantity, self.update.runtime.message, "")
            yield self._notice(line, NoticeKind.EXIT_TROUBLE, text, "exit")

    def no_buyers(self, line: LogRecord) -> _Items:
        text = texts.not_sold(self._shares, line.quantity, line.reason or "", "The exit waits for a buyer.")
        yield self._notice(line, NoticeKind.EXIT_TROUBLE, text, "no_buyers")

    def buyers_again(self, line: LogRecord) -> _Items:
        text = "" if self.update.ended else f"{self._shares}: the exit no longer waits for a buyer."
        yield self._over(line, "no_buyers", text=text)

    def feed_lost(self, line: LogRecord) -> _Items:
        stop = texts.price(self.update.runtime.stop_loss_paise)
        if line.event == LogWord.FEED_LOST:
            text = f"{self._shares}: no prices come, so the stop-loss {stop} is NOT watched until they are back."
        else:
            text = f"{self._shares}: prices come late. The stop-loss {stop} acts on each as soon as it is here."
        yield self._notice(line, NoticeKind.FEED_LOST, text, "feed")

    def not_listed(self, line: LogRecord) -> _Items:
        reason = texts.sentence(line.reason or "Your broker does not list it today")
        text = f"{self._shares}: no price of it comes, and nothing is bought. {reason}"
        yield self._notice(line, NoticeKind.GUARD_LOST, text, "unlisted")

    def feed_restored(self, line: LogRecord) -> _Items:
        stop = texts.price(self.update.runtime.stop_loss_paise)
        yield self._over(line, "unlisted", text=f"{self._shares}: your broker lists it, and its prices come.")
        yield self._over(line, "feed", text=f"{self._shares}: prices are back, the stop-loss {stop} is watched.")

    def closed_outside(self, line: LogRecord) -> _Items:
        what = f"{self._shares} is no longer in your account, and the strategy did not sell it."
        following = "It guards nothing any more. If you still hold the shares, say so in the app."
        text = " ".join(filter(None, (what, texts.sentence(line.reason or ""), following)))
        yield self._notice(line, NoticeKind.CLOSED_OUTSIDE, text)

    def restored(self, line: LogRecord) -> _Items:
        text = f"{self._shares}: {texts.sentence(line.reason or self.update.runtime.message)}"
        yield self._notice(line, NoticeKind.GUARD_LOST, text)


_HANDLERS: Mapping[str, Callable[[_Step, LogRecord], _Items]] = {
    LogWord.RUN_ENDED: _Step.ended,
    LogWord.ORDER_FAILED: _Step.failed,
    LogWord.ORDER_UNKNOWN: _Step.unknown,
    LogWord.MARKET_CLOSED: _Step.held,
    LogWord.MISSED_EXECUTION: _Step.held,
    LogWord.NO_BUYERS: _Step.no_buyers,
    LogWord.NO_BUYERS_RESOLVED: _Step.buyers_again,
    LogWord.FEED_LOST: _Step.feed_lost,
    LogWord.TICKS_STALE: _Step.feed_lost,
    LogWord.FEED_RESTORED: _Step.feed_restored,
    LogWord.SYMBOL_NOT_LISTED: _Step.not_listed,
    LogWord.CLOSED_OUTSIDE: _Step.closed_outside,
    LogWord.RESTORED: _Step.restored,
}
"""Which lines make notices, besides the end of a BUY."""
