"""The judge of a user's day: what facts mean for each strategy that waits to buy, and for the answer. Pure (row N3).

What START would refuse is asked of `api.strategies.strategy_rules`, and comes in with the facts. Here is decided what a
START does not look at: the login's end, the money of the whole day, prices that make a stop-loss stale, and the parts
of the deployment. What could not be checked never counts as ready.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal

from actors.domain.money import round_rupees
from actors.domain.notices.texts import rupees
from api.readiness.findings import Check, Facts, Findings, Fix, Level, Login, Trade, TradeFound, Verdict
from api.readiness.funds import Buying, shortfalls

JUMP = Decimal("0.15")
"""From which part of yesterday's close on a price may be that of a split or a bonus, and stop and quantity stale."""

LOGIN_URL = "/broker/login-url?return=app"
CONNECT_URL = "/broker/connect"
UNLOCK_URL = "/risk/unlock"

HOLIDAY = "holiday_tomorrow"
_FUNDS = "funds_short"
_LOG_IN = Fix("login", LOGIN_URL)
_OPERATOR = Fix("operator")

_LOGINS: dict[Login, tuple[str, Level, str, Fix | None]] = {
    Login.MISSING: (
        "broker_connected", Level.BLOCK, "No broker is connected: connect yours", Fix("connect", CONNECT_URL),
    ),
    Login.UNREADABLE: (
        "broker_connected", Level.BLOCK, "The stored connection to your broker cannot be read: connect it again",
        Fix("connect", CONNECT_URL),
    ),
    Login.NOT_ALLOWED: (
        "broker_connected", Level.BLOCK, "The proxy of your connection is not allowed here: connect your broker again",
        Fix("connect", CONNECT_URL),
    ),
    Login.ENDED: ("token_valid", Level.BLOCK, "Your login at the broker has ended: log in again", _LOG_IN),
    Login.UNCHECKED: ("token_valid", Level.UNKNOWN, "Your login at the broker could not be checked", None),
    Login.GOOD: ("token_valid", Level.OK, "Your login at the broker is good", None),
}  # fmt: skip


def find(facts: Facts) -> Findings:
    """What the facts mean."""
    if facts.session is None:
        return _no_session(facts)
    checks = [
        _login(facts),
        *_entries(facts),
        *_deployment(facts),
        *(check for trade in facts.trades for check in _of_trade(trade)),
        *_funds(facts),
        *_planned(facts),
        *_holiday(facts),
    ]
    trades = tuple(_found(trade, checks) for trade in facts.trades)
    return Findings(_verdict(checks), tuple(checks), trades)


def _no_session(facts: Facts) -> Findings:
    coming = "" if facts.next_day is None else f". {_next(facts.next_day)}"
    level = Level.BLOCK if facts.trades else Level.OK
    closed = Check("session", level, f"There is no trade today{coming}")
    trades = tuple(TradeFound(trade, False, (closed.code,)) for trade in facts.trades)
    return Findings(Verdict.NO_SESSION, (closed,), trades)


def _verdict(checks: Sequence[Check]) -> Verdict:
    levels = {check.level for check in checks}
    if Level.BLOCK in levels:
        return Verdict.BLOCKED
    return Verdict.ATTENTION if levels - {Level.OK} else Verdict.READY


def _found(trade: Trade, checks: Sequence[Check]) -> TradeFound:
    about = [check for check in checks if check.strategy_id in {None, trade.strategy_id} and check.code != "planned"]
    blocking = [check.code for check in about if check.level is Level.BLOCK]
    if blocking:
        return TradeFound(trade, False, tuple(dict.fromkeys(blocking)))
    others = tuple(dict.fromkeys(check.code for check in about if check.level is not Level.OK))
    unknown = any(check.level is Level.UNKNOWN for check in about)
    return TradeFound(trade, None if unknown else True, others)


def _login(facts: Facts) -> Check:
    code, level, detail, fix = _LOGINS[facts.login]
    if facts.login is Login.UNCHECKED and facts.reason:
        detail = f"{detail}: {facts.reason}"
    first = min((trade.buy_at for trade in facts.trades), default=None)
    ends_at = facts.login_ends_at
    if facts.login is Login.GOOD and ends_at is not None and first is not None and ends_at <= first:
        detail = f"Your login at the broker ends at {_clock(ends_at)}, before you buy: log in again after that"
        return Check(code, Level.BLOCK, detail, _LOG_IN)
    return Check(code, level, detail, fix)


def _entries(facts: Facts) -> Iterator[Check]:
    if facts.entries_forbidden:
        detail = "You have forbidden entries by a panic: nothing is bought until you allow them again"
        yield Check("entries_forbidden", Level.BLOCK, detail, Fix("unlock", UNLOCK_URL))


def _deployment(facts: Facts) -> Iterator[Check]:
    if blocking := [fault for fault in facts.faults if fault.blocks]:
        detail = "A part of TradeActors does not work, and no orders are taken on. Its operator has been notified"
        if all(fault.of_address for fault in blocking):
            detail = (
                "Your orders would leave from an address that is not registered at your broker, and be refused. The "
                "operator of TradeActors has been notified"
            )
        yield Check("operator", Level.BLOCK, detail, _OPERATOR)
    elif facts.faults:
        detail = "A part of TradeActors does not work as it should. Its operator has been notified"
        yield Check("operator", Level.WARN, detail, _OPERATOR)


def _planned(facts: Facts) -> Iterator[Check]:
    if not facts.trades and not facts.traded:
        yield Check("planned", Level.WARN, "No strategy of yours waits to buy today: start those that should")


def _holiday(facts: Facts) -> Iterator[Check]:
    """That the next weekday is a holiday keeps nothing from trading today."""
    if facts.closed_next is not None:
        coming = "" if facts.next_day is None else f". {_next(facts.next_day)}"
        detail = f"The exchange is closed on {facts.closed_next:%A, %Y-%m-%d}{coming}"
        yield Check(HOLIDAY, Level.OK, detail)


def _next(day: date) -> str:
    return f"The next session is on {day:%A, %Y-%m-%d}"


def _of_trade(trade: Trade) -> Iterator[Check]:
    for refusal in trade.refusals:
        fix = Fix("edit", f"/strategy/{trade.strategy_id}") if refusal.field else None
        yield _about(trade, refusal.code, Level.BLOCK, refusal.sentence, fix)
    if trade.judged and not trade.refusals:
        for unanswered in trade.unanswered:
            yield _about(trade, unanswered.code, Level.UNKNOWN, unanswered.sentence)
        yield from _of_prices(trade)


def _of_prices(trade: Trade) -> Iterator[Check]:
    if (quote := trade.quote) is None or quote.last is None:
        return
    fix = Fix("edit", f"/strategy/{trade.strategy_id}")
    if (close := quote.previous_close) is not None and abs(quote.last / close - 1) > JUMP:
        detail = (
            f"The price {rupees(quote.last)} is far from yesterday's close {rupees(close)}: after a split or a bonus, "
            "stop-loss and quantity are stale"
        )
        yield _about(trade, "price_jump", Level.WARN, detail, fix)
    stop, lower = trade.stop_loss, quote.lower_circuit
    if stop is not None and lower is not None and stop < lower:
        detail = f"The stop-loss {rupees(stop)} is below today's lower circuit {rupees(lower)}, where no trade can be"
        yield _about(trade, "band", Level.WARN, detail, fix)
    if quote.upper_circuit is not None and quote.last >= quote.upper_circuit:
        detail = f"The price is at today's upper circuit {rupees(quote.upper_circuit)}: there may be no seller"
        yield _about(trade, "band", Level.WARN, detail)


def _funds(facts: Facts) -> Iterator[Check]:
    trades = [trade for trade in facts.trades if not trade.refusals]
    if facts.login is not Login.GOOD or not facts.whole or not trades:
        return
    if facts.free is None or any(trade.needed is None for trade in trades):
        yield Check(_FUNDS, Level.UNKNOWN, "Your funds could not be checked: your broker did not answer")
        return
    buyings = [
        Buying(trade.strategy_id, trade.buy_at, trade.sell_at, trade.needed)
        for trade in trades
        if trade.needed is not None
    ]
    short = shortfalls(facts.free, buyings, facts.held)
    for trade in trades:
        if (lack := short.get(trade.strategy_id)) is not None:
            detail = (
                f"It needs {rupees(lack.wanted)} with a reserve of 2 %, and {rupees(lack.free)} will be free: add "
                f"{rupees(round_rupees(lack.wanted - lack.free))}, or buy less"
            )
            yield _about(trade, _FUNDS, Level.BLOCK, detail, Fix("funds"))
    if not short:
        yield Check(_FUNDS, Level.OK, f"{rupees(facts.free)} are free, which is enough for today")


def _about(trade: Trade, code: str, level: Level, detail: str, fix: Fix | None = None) -> Check:
    return Check(code, level, f"{trade.name}: {detail[:1].lower()}{detail[1:]}", fix, trade.strategy_id, detail)


def _clock(at: datetime) -> str:
    return f"{at:%H:%M}"
