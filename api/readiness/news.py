"""What a user is notified of when his day has been looked at: what has changed, and nothing twice. Pure (row N3).

`Told` is what he has heard for a session. It is stored with what was found, in the transaction that notifies him.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Self

from actors.domain.notices import readiness_texts as texts
from actors.domain.notices.notice import Notice, NoticeKind
from api.readiness.checks import HOLIDAY
from api.readiness.findings import Check, Findings, Level, TradeFound, Verdict
from api.readiness.times import LATE_BEFORE, SECOND_BEFORE
from persistence.database.repositories.notifications import LOGIN

_LOGIN_CODES = frozenset({"token_valid"})


@dataclass(frozen=True, slots=True)
class Told:
    """What a user has heard of the session of `day`.

    `number`: how many notices, which makes their keys. `open_condition`: that of a notice that not all will trade,
    which names the strategies `blocked`. `late`: strategies that were said aloud not to trade, by the condition of the
    notice. `because`: the codes of the checks that were the reason, by condition. `again`: what was in the way has
    been said a second time.
    """

    day: date | None = None
    verdict: Verdict | None = None
    number: int = 0
    open_condition: str | None = None
    blocked: tuple[int, ...] = ()
    late: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    because: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    again: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None, day: date) -> Self:
        """What is stored, if it is of that day; else nothing has been heard."""
        if not stored or stored.get("day") != day.isoformat():
            return cls(day)
        verdict = stored.get("verdict")
        return cls(
            day,
            Verdict(verdict) if verdict else None,
            stored["number"],
            stored.get("open_condition"),
            tuple(map(int, stored.get("blocked", ()))),
            {str(name): tuple(map(int, ids)) for name, ids in stored.get("late", {}).items()},
            {str(name): tuple(map(str, codes)) for name, codes in stored.get("because", {}).items()},
            stored.get("again", False),
        )

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
            "blocked": list(self.blocked),
            "late": {name: list(ids) for name, ids in self.late.items()},
            "because": {name: list(codes) for name, codes in self.because.items()},
            "again": self.again,
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

    `opens`: the beginning of the session; that all is well is a piece of news before it only, and what is still in the
    way is said once more `SECOND_BEFORE` it. `aloud`: it is time to notify users (`times.told_from`). `link`: where he
    can log in, if that is what is missing.
    """
    if not findings.trades:
        return _nothing_left(told)
    if not aloud:
        return News(told)
    ended, trading, told = _ended(findings, told)
    late, told = _late(findings, told, now, link)
    verdict, second = findings.verdict, now >= opens - SECOND_BEFORE
    if _stands(verdict):
        notices, over, told = _standing(findings, told, now, link, trading, heard_now=bool(late), second=second)
        ended = _in_silence(ended) if any(one.text for one in over) else ended
        return News(replace(told, verdict=verdict), (*late, *notices), (*ended, *over))
    if told.verdict is verdict:
        return News(told, late, ended)
    names = [found.trade.name for found in findings.trades]
    well = verdict is Verdict.READY
    text = f"{texts.all_well(names)}{_holiday(findings)}" if well else texts.look_at(names, _worst(findings).detail)
    notices, over = late, ended
    if told.open_condition is not None:
        said = f"{texts.well_again(names)}{_holiday(findings)}" if well else text
        over = (Over(told.open_condition, said), *_in_silence(ended))
        told = _closed(told)
    elif not ended and (verdict is Verdict.ATTENTION or told.verdict is not None or now < opens):
        notices = (*late, _notice(NoticeKind.READINESS, text, told, now))
        told = replace(told, number=told.number + 1)
    return News(replace(told, verdict=verdict), notices, over)


def _holiday(findings: Findings) -> str:
    return "".join(f" {check.detail}." for check in findings.checks if check.code == HOLIDAY)


def _in_silence(over: Sequence[Over]) -> tuple[Over, ...]:
    return tuple(replace(one, text="") for one in over)


def _standing(
    findings: Findings,
    told: Told,
    now: datetime,
    link: str,
    trading: Sequence[str],
    *,
    heard_now: bool,
    second: bool,
) -> tuple[tuple[Notice, ...], tuple[Over, ...], Told]:
    """Some trades will not happen: said when it begins, when it is another fact than what was said, and once again.

    `trading`: names of those that were said aloud not to trade, and do. `heard_now`: some are said aloud in this moment
    not to trade, which is enough.
    """
    over: tuple[Over, ...] = ()
    begins = not told.verdict or not _stands(told.verdict)
    if told.open_condition is not None:
        changed, names = _outdated(findings, told.blocked, told.because.get(told.open_condition, ()))
        again = second and not told.again and not heard_now
        if not (changed or again or told.verdict is not findings.verdict):
            return (), (), replace(told, again=told.again or second)
        names = list(dict.fromkeys((*names, *trading))) if names else names
        over = (Over(told.open_condition, texts.after_all(names) if names else ""),)
        told, begins = _closed(told), not changed or _stopped(findings) != ()
    told = replace(told, again=told.again or second)
    if heard_now or not begins:
        return (), over, told
    notice = _blocked(findings, told, now, link)
    stopped = _stopped(findings)
    return (
        (notice,),
        over,
        replace(
            told,
            number=told.number + 1,
            open_condition=notice.condition,
            blocked=tuple(found.trade.strategy_id for found in stopped),
            because={**told.because, notice.condition or "": _codes(stopped)},
        ),
    )


def _closed(told: Told) -> Told:
    """The notice that not all will trade is over."""
    because = {name: codes for name, codes in told.because.items() if name != told.open_condition}
    return replace(told, open_condition=None, blocked=(), because=because)


def _outdated(findings: Findings, ids: Sequence[int], because: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether what was said of these strategies is no longer so, and the names of those that trade after all.

    Of one whose time has come there is nothing to say. Another reason than the one that was said is another fact.
    """
    left = [found for found in findings.trades if found.trade.strategy_id in ids]
    trading = [found.trade.name for found in left if found.will_trade]
    codes = {code for found in left if found.will_trade is False for code in found.because}
    other_reason = bool(because and codes) and codes.isdisjoint(because)
    return bool(trading) or (bool(ids) and not left) or other_reason, trading


def _stopped(findings: Findings) -> tuple[TradeFound, ...]:
    return tuple(found for found in findings.trades if found.will_trade is False)


def _codes(stopped: Sequence[TradeFound]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(code for found in stopped for code in found.because))


def _nothing_left(told: Told) -> News:
    """No strategy waits any more, so that nothing is in the way of any: that is no news."""
    silent = tuple(Over(condition, "") for condition in told.conditions)
    return News(replace(_closed(told), verdict=None, late={}, because={}), (), silent)


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
    condition = _condition(findings, "will_not_trade", told)
    text = texts.will_not_trade([found.trade.name for found in due], _reason(findings, due), link)
    notice = _notice(NoticeKind.WILL_NOT_TRADE, text, told, now, condition, due)
    ids = tuple(found.trade.strategy_id for found in due)
    return (notice,), replace(
        told,
        number=told.number + 1,
        late={**told.late, condition: ids},
        because={**told.because, condition: _codes(due)},
    )


def _ended(findings: Findings, told: Told) -> tuple[tuple[Over, ...], list[str], Told]:
    """Notices of trades that would not happen, and which say no longer what is so, with the names of what does trade.

    What does not trade of them is said again, for its new reason.
    """
    over, late, because = [], {}, dict(told.because)
    trading: list[str] = []
    for name, ids in told.late.items():
        changed, names = _outdated(findings, ids, told.because.get(name, ()))
        if changed:
            over.append(Over(name, texts.after_all(names) if names else ""))
            trading += names
            because.pop(name, None)
        else:
            late[name] = ids
    return tuple(over), trading, replace(told, late=late, because=because)


def _blocked(findings: Findings, told: Told, now: datetime, link: str) -> Notice:
    stopped = _stopped(findings)
    names = [found.trade.name for found in stopped or findings.trades]
    text = texts.will_not_trade(names, _reason(findings, stopped), link)
    kind = NoticeKind.LOGIN_NEEDED if needs_login(findings) else NoticeKind.WILL_NOT_TRADE
    return _notice(kind, text, told, now, _condition(findings, "not_ready", told), stopped)


def _condition(findings: Findings, name: str, told: Told) -> str:
    return f"{LOGIN if needs_login(findings) else ''}{name}:{told.day}:{told.number}"


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
