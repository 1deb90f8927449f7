"""What a user is notified of when his day has been looked at: what has changed, and nothing twice. Pure (row N3).

`Told` is what he has heard for a session. It is stored with what was found, in the transaction that notifies him.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Self

from actors.domain.notices import readiness_texts as texts
from actors.domain.notices.notice import Notice, NoticeKind
from api.readiness.findings import Check, Findings, Level, TradeFound, Verdict
from api.readiness.times import LATE_BEFORE

_LOGIN_CODES = frozenset({"token_valid"})


@dataclass(frozen=True, slots=True)
class Told:
    """What a user has heard of the session of `day`.

    `number`: how many notices, which makes their keys. `open_condition`: that of a notice that not all will trade.
    `late`: strategies that were said aloud not to trade, by the condition of the notice.
    """

    day: date | None = None
    verdict: Verdict | None = None
    number: int = 0
    open_condition: str | None = None
    late: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None, day: date) -> Self:
        """What is stored, if it is of that day; else nothing has been heard."""
        if not stored or stored.get("day") != day.isoformat():
            return cls(day)
        late = {str(name): tuple(map(int, ids)) for name, ids in stored.get("late", {}).items()}
        verdict = stored.get("verdict")
        return cls(day, Verdict(verdict) if verdict else None, stored["number"], stored.get("open_condition"), late)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those of notices that still stand."""
        return (*self.late, *filter(None, (self.open_condition,)))

    @classmethod
    def of_earlier(cls, stored: Mapping[str, Any] | None, day: date) -> tuple[str, ...]:
        """Conditions that still stood when another day ended: with their session they are over."""
        if not stored or not stored.get("day") or stored["day"] == day.isoformat():
            return ()
        return cls.read(stored, date.fromisoformat(stored["day"])).conditions

    def stored(self) -> dict[str, Any]:
        """For the database."""
        return {
            "day": None if self.day is None else self.day.isoformat(),
            "verdict": self.verdict,
            "number": self.number,
            "open_condition": self.open_condition,
            "late": {name: list(ids) for name, ids in self.late.items()},
        }


@dataclass(frozen=True, slots=True)
class Over:
    """A condition that is over, and the sentence that says so; an empty one if another notice does."""

    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class News:
    """What to notify the user of, and what he has heard then."""

    told: Told
    notices: tuple[Notice, ...] = ()
    over: tuple[Over, ...] = ()


def needs_login(findings: Findings) -> bool:
    """Whether a login at the broker is what is missing, so that a notice should have a link to it."""
    return any(check.code in _LOGIN_CODES and check.level is Level.BLOCK for check in findings.checks)


def news(findings: Findings, told: Told, now: datetime, *, opens: datetime, aloud: bool, link: str = "") -> News:
    """What has changed since the user was notified.

    `opens`: the beginning of the session; that all is well is a piece of news before it only. `aloud`: it is time to
    notify users (`times.told_from`). `link`: where he can log in, if that is what is missing.
    """
    if not findings.trades:
        return _nothing_left(told)
    if not aloud:
        return News(told)
    late, told = _late(findings, told, now, link)
    ended, told = _ended(findings, told)
    verdict = findings.verdict
    if told.verdict is verdict:
        return News(told, late, ended)
    names = [found.trade.name for found in findings.trades]
    text = texts.all_well(names) if verdict is Verdict.READY else texts.look_at(names, _worst(findings).detail)
    notices, over = late, ended
    if _stands(verdict):
        if not late:
            notices = (_blocked(findings, told, now, link),)
            told = replace(told, number=told.number + 1, open_condition=notices[0].condition)
    elif told.open_condition is not None:
        said = texts.well_again(names) if verdict is Verdict.READY else text
        over = (Over(told.open_condition, said), *(replace(one, text="") for one in ended))
        told = replace(told, open_condition=None)
    elif not ended and (verdict is Verdict.ATTENTION or told.verdict is not None or now < opens):
        notices = (*late, _notice(NoticeKind.READINESS, text, told, now))
        told = replace(told, number=told.number + 1)
    return News(replace(told, verdict=verdict), notices, over)


def _nothing_left(told: Told) -> News:
    """No strategy waits any more, so that nothing is in the way of any: that is no news."""
    silent = tuple(Over(condition, "") for condition in told.conditions)
    return News(replace(told, verdict=None, open_condition=None, late={}), (), silent)


def _stands(verdict: Verdict) -> bool:
    """Whether trades will not happen."""
    return verdict in {Verdict.BLOCKED, Verdict.NO_SESSION}


def _late(findings: Findings, told: Told, now: datetime, link: str) -> tuple[tuple[Notice, ...], Told]:
    """Trades of the next ten minutes that will not happen, and of which this was not said."""
    heard = {strategy_id for ids in told.late.values() for strategy_id in ids}
    due = [
        found
        for found in findings.trades
        if found.will_trade is False
        and found.trade.strategy_id not in heard
        and found.trade.buy_at - LATE_BEFORE <= now < found.trade.buy_at
    ]
    if not due:
        return (), told
    condition = f"will_not_trade:{told.day}:{told.number}"
    text = texts.will_not_trade([found.trade.name for found in due], _reason(findings, due), link)
    notice = _notice(NoticeKind.WILL_NOT_TRADE, text, told, now, condition, due)
    ids = tuple(found.trade.strategy_id for found in due)
    return (notice,), replace(told, number=told.number + 1, late={**told.late, condition: ids})


def _ended(findings: Findings, told: Told) -> tuple[tuple[Over, ...], Told]:
    """Notices of trades that would not happen, all of which will by now."""
    now_trading = {found.trade.strategy_id: found for found in findings.trades if found.will_trade}
    done = {name: ids for name, ids in told.late.items() if now_trading.keys() >= set(ids)}
    over = tuple(
        Over(name, texts.after_all([now_trading[strategy_id].trade.name for strategy_id in ids]))
        for name, ids in done.items()
    )
    return over, replace(told, late={name: ids for name, ids in told.late.items() if name not in done})


def _blocked(findings: Findings, told: Told, now: datetime, link: str) -> Notice:
    stopped = [found for found in findings.trades if found.will_trade is False]
    names = [found.trade.name for found in stopped or findings.trades]
    text = texts.will_not_trade(names, _reason(findings, stopped), link)
    kind = NoticeKind.LOGIN_NEEDED if needs_login(findings) else NoticeKind.WILL_NOT_TRADE
    return _notice(kind, text, told, now, f"not_ready:{told.day}:{told.number}", stopped)


def _reason(findings: Findings, stopped: Sequence[TradeFound]) -> str:
    """The sentence of the first check that keeps one of them from trading."""
    ids = {None, *(found.trade.strategy_id for found in stopped)}
    blocking = [check for check in findings.checks if check.level is Level.BLOCK and check.strategy_id in ids]
    first = (blocking or [_worst(findings)])[0]
    return first.reason if first.reason and len(stopped) == 1 else first.detail


def _worst(findings: Findings) -> Check:
    order = (Level.BLOCK, Level.UNKNOWN, Level.WARN, Level.OK)
    return min(findings.checks, key=lambda check: order.index(check.level))


def _notice(
    kind: NoticeKind,
    text: str,
    told: Told,
    now: datetime,
    condition: str | None = None,
    about: Sequence[TradeFound] = (),
) -> Notice:
    one = about[0].trade.strategy_id if len(about) == 1 else None
    key = f"readiness:{told.day}:{told.number}"
    return Notice(kind=kind, key=key, text=text, at=now, condition=condition, strategy_id=one)
