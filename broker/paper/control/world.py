"""The control API for time: the clock, the trading session, and what time ticks say it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request

from broker.paper.base.clock import NANOSECONDS, ist
from broker.paper.control import models
from broker.paper.control.accounts_and_prices import instrument_called
from broker.paper.kite_api.access import exchange_of
from broker.paper.market.stamps import Stamping
from broker.paper.orders.trading_session import Group

if TYPE_CHECKING:
    from broker.paper.exchange import PaperExchange

router = APIRouter(prefix="/paper", tags=["control"])


@router.get("/clock")
async def read_clock(request: Request) -> dict[str, Any]:
    """What time it is on the exchange, and how fast it passes."""
    return _clock(exchange_of(request))


@router.post("/clock")
async def set_clock(request: Request, body: models.ClockSetting) -> dict[str, Any]:
    """Set the wall clock, jump, or change the pace.

    Setting it lets no time pass: no timer runs, and no boundary of the session that lies between is acted upon. A
    jump is time that passes at once: orders and the session go through it step by step, prices skip it.
    """
    exchange = exchange_of(request)
    if body.now is None and body.advance_seconds is None and body.factor is None:
        raise HTTPException(422, "give now, advance_seconds or factor")
    if body.now is not None:
        exchange.set_clock(int(body.now.timestamp() * NANOSECONDS), None)
    if body.advance_seconds is not None:
        exchange.jump(body.advance_seconds)
    if body.factor is not None:
        exchange.set_clock(None, body.factor)
    return _clock(exchange)


@router.delete("/clock")
async def release_clock(request: Request) -> dict[str, Any]:
    """Go with the machine's clock again."""
    exchange = exchange_of(request)
    exchange.release_clock()
    return _clock(exchange)


@router.get("/session")
async def read_session(request: Request) -> dict[str, Any]:
    """The session's settings, the phase of every group of instruments, and the next boundary."""
    return _session(exchange_of(request))


@router.put("/session")
async def set_session(request: Request, body: models.SessionSetting) -> dict[str, Any]:
    """Switch the session on or off, or change it. What it would have done earlier today is not made up for."""
    exchange = exchange_of(request)
    if body.pace is not None and body.pace.since_ns is None:
        body.pace.since_ns = exchange.clock.now_ns()
    _apply_session(exchange, body)
    record = body.model_dump(mode="json", exclude_unset=True)
    exchange.journal.append_sooner_or_later("session", record)
    return _session(exchange)


@router.get("/feed")
async def read_feed(request: Request) -> dict[str, Any]:
    """How ticks are stamped."""
    return _feed(exchange_of(request))


@router.post("/feed")
async def set_feed(request: Request, body: models.FeedStamps) -> dict[str, Any]:
    """Stamp ticks behind or ahead of the clock, or all with one instant; it holds until it is set again."""
    exchange = exchange_of(request)
    if body.reset and body.instrument is None:
        raise HTTPException(422, "reset needs an instrument; for the whole feed set lag_seconds 0")
    frozen_ns = exchange.clock.now_ns() - int(body.lag_seconds * NANOSECONDS) if body.frozen else None
    record = {**body.model_dump(exclude={"frozen"}), "frozen_ns": frozen_ns}
    _apply_stamps(exchange, record)
    exchange.journal.append_sooner_or_later("stamps", record)
    return _feed(exchange)


def restore_world(exchange: PaperExchange, records: list[tuple[str, dict[str, Any]]]) -> None:
    """Apply the session and the stamping of the ledger again."""
    for kind, record in records:
        if kind == "session":
            _apply_session(exchange, models.SessionSetting.model_validate(record))
        elif kind == "stamps":
            _apply_stamps(exchange, record)


def _apply_session(exchange: PaperExchange, body: models.SessionSetting) -> None:
    settings, given = exchange.session.settings, body.model_fields_set
    for name in ("on", "square_off", "token_flush"):
        if name in given:
            setattr(settings, name, getattr(body, name))
    for name in ("holidays", "trading_days"):
        if name in given:
            setattr(settings, name, frozenset(day.isoformat() for day in getattr(body, name)))
    settings.mis_cutoff |= body.mis_cutoff
    if "pace" in given:
        _apply_pace(exchange, body.pace)
    exchange.session_boundaries.sync()


def _apply_pace(exchange: PaperExchange, pace: models.Pace | None) -> None:
    if pace is None or pace.since_ns is None:
        exchange.session.clock.release()
    else:
        exchange.session.clock.run(int(pace.now.timestamp() * NANOSECONDS), pace.factor, pace.since_ns)


def _apply_stamps(exchange: PaperExchange, record: dict[str, Any]) -> None:
    stamps = exchange.market.stamps
    stamping = Stamping(record["lag_seconds"], record["frozen_ns"], record["quotes_too"])
    if record["instrument"] is None:
        stamps.feed = stamping
        return
    token = instrument_called(exchange, record["instrument"]).token
    stamps.instruments.pop(token, None)
    if not record["reset"]:
        stamps.instruments[token] = stamping


def _clock(exchange: PaperExchange) -> dict[str, Any]:
    now_ns = exchange.clock.now_ns()
    return {
        "now": ist(now_ns).isoformat(),
        "now_ns": now_ns,
        "factor": exchange.clock.factor,
        "is_set": exchange.clock.is_set,
    }


def _session(exchange: PaperExchange) -> dict[str, Any]:
    session = exchange.session
    settings = session.settings
    next_ns = exchange.session_boundaries.next_boundary(session.clock.now_ns())[0] if settings.on else None
    return {
        "on": settings.on,
        "now": ist(session.clock.now_ns()).isoformat(),
        "holidays": sorted(settings.holidays),
        "trading_days": sorted(settings.trading_days),
        "mis_cutoff": {str(group): at.isoformat() for group, at in settings.mis_cutoff.items()},
        "square_off": settings.square_off,
        "token_flush": settings.token_flush.isoformat() if settings.token_flush else None,
        "phases": {str(group): str(session.phase(group)) for group in Group},
        "next_boundary": ist(next_ns).isoformat() if next_ns is not None else None,
    }


def _feed(exchange: PaperExchange) -> dict[str, Any]:
    stamps = exchange.market.stamps
    own = {
        instrument.key: _stamping(stamping)
        for token, stamping in stamps.instruments.items()
        if (instrument := exchange.instruments.by_token(token)) is not None
    }
    return {"feed": _stamping(stamps.feed), "instruments": own}


def _stamping(stamping: Stamping) -> dict[str, Any]:
    return {
        "lag_seconds": stamping.lag_seconds,
        "frozen_ns": stamping.frozen_ns,
        "quotes_too": stamping.quotes_too,
    }
