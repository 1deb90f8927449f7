"""`GET /readiness` and `POST /readiness/refresh`: the answer."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.base.fields import TimeOfDay
from api.readiness.findings import Findings, Level, SessionDay, Verdict

FixWord = Literal["login", "connect", "funds", "edit", "unlock", "operator"]


class ReadinessSession(BaseModel):
    """The session that goes on or comes today. `special`: its hours are not those of an ordinary session."""

    date: date
    opens: TimeOfDay
    closes: TimeOfDay
    special: bool


class ReadinessFix(BaseModel):
    """What to do about it. `url`: the call of this API that does it, or begins to; null where there is none."""

    kind: FixWord
    url: str | None


class ReadinessCheck(BaseModel):
    """One thing that was looked at. `strategy_id`: the strategy that it is about; null if it is about all.

    `unknown`: it could not be checked.
    """

    code: str = Field(examples=["token_valid"])
    level: Level
    detail: str
    strategy_id: int | None
    fix: ReadinessFix | None


class ReadinessOfStrategy(BaseModel):
    """A strategy that waits to buy today. `will_trade` is null if it could not be checked.

    `because`: the codes of the checks that decide it. `funds_needed`: the margin of its BUY, as the broker reckons it.
    `charges_estimate`: of its BUY and its SELL at the present price. Both are rupees, and null if not known.
    """

    strategy_id: int
    symbol: str
    buy_at: datetime
    will_trade: bool | None
    because: list[str]
    funds_needed: float | None
    charges_estimate: float | None


class ReadinessAnswer(BaseModel):
    """Whether your strategies will trade today, as it was found at `as_of`.

    `ready`: nothing is in the way. `attention`: something should be looked at, or could not be checked. `blocked`: a
    strategy will not trade as it stands. `no_session`: there is no trade today any more.
    """

    as_of: datetime
    session: ReadinessSession | None
    verdict: Verdict
    checks: list[ReadinessCheck]
    strategies: list[ReadinessOfStrategy]


def answer_of(findings: Findings, session: SessionDay | None, as_of: datetime) -> ReadinessAnswer:
    """The answer; `as_of` in the exchange's zone."""
    return ReadinessAnswer(
        as_of=as_of,
        session=None if session is None else _session(session),
        verdict=findings.verdict,
        checks=[
            ReadinessCheck(
                code=check.code,
                level=check.level,
                detail=check.detail,
                strategy_id=check.strategy_id,
                fix=None if check.fix is None else ReadinessFix(kind=check.fix.kind, url=check.fix.url),
            )
            for check in findings.checks
        ],
        strategies=[
            ReadinessOfStrategy(
                strategy_id=found.trade.strategy_id,
                symbol=found.trade.symbol,
                buy_at=found.trade.buy_at,
                will_trade=found.will_trade,
                because=list(found.because),
                funds_needed=None if found.trade.needed is None else float(found.trade.needed),
                charges_estimate=None if found.trade.charges is None else float(found.trade.charges),
            )
            for found in findings.trades
        ],
    )


def _session(session: SessionDay) -> ReadinessSession:
    return ReadinessSession(
        date=session.day,
        opens=session.opens.time().isoformat(),
        closes=session.closes.time().replace(microsecond=0).isoformat(),
        special=session.special,
    )
