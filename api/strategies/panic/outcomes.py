"""What a panic has come to, in words and as notices. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from actors.domain.notices.notice import Notice, NoticeKind
from api.strategies.panic.schemas import PanicOutcome, SharesNotTouched
from persistence.database.models.panics import Panic
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.mirror.fields import instrument_of

Outcome = Literal["flat", "working", "failed"]

_NOTHING_HELD = frozenset({"none", "sold", "exited_by_sl", "buy_failed"})


def outcome_of(position: str, *, ended: bool) -> Outcome:
    """The outcome of a run, by its position and whether it has ended."""
    if not ended:
        return "working"
    return "flat" if position in _NOTHING_HELD else "failed"


def shares_kept(shares: Mapping[tuple[str, str, str], int]) -> dict[str, Any]:
    """Shares of an account, by exchange, tradingsymbol and product, as they are stored with a panic."""
    return {"shares": [[*key, quantity] for key, quantity in sorted(shares.items()) if quantity]}


def shares_answer(kept: Mapping[str, Any] | None) -> list[SharesNotTouched] | None:
    """The stored shares, as the app gets them."""
    if kept is None:
        return None
    return [
        SharesNotTouched(symbol=symbol, product=product, quantity=quantity)
        for _, symbol, product, quantity in kept["shares"]
    ]


def sentence(outcomes: Sequence[PanicOutcome], kept: Sequence[SharesNotTouched] | None, *, finished: bool) -> str:
    """The panic in a sentence or two."""
    if not finished:
        open_now = sum(outcome.outcome == "working" for outcome in outcomes)
        return f"{_strategies(open_now)} still being ended; {len(outcomes) - open_now} of {len(outcomes)} have ended"
    failed = [outcome.symbol for outcome in outcomes if outcome.outcome == "failed"]
    ended = f"Not everything could be sold, look at your account: {', '.join(failed)}" if failed else "All is flat"
    if kept is None:
        return f"{ended}. What else your account holds could not be read"
    others = ", ".join(f"{shares.quantity} {shares.symbol}" for shares in kept)
    if failed and others:  # what could not be sold is among them
        return f"{ended}. It holds {others}"
    return f"{ended}. Not touched: {others} of your own" if others else f"{ended}. Your account holds nothing else"


def outcome_of_run(run: Run, strategy: Strategy) -> PanicOutcome:
    """What happened to one run."""
    return PanicOutcome.model_validate(
        {
            "strategy_id": strategy.id,
            "symbol": instrument_of(strategy).symbol,
            "outcome": outcome_of(run.position, ended=run.ended_at is not None),
            "position": run.position,
            "message": run.message,
        }
    )


def notice_of_call(panic: Panic, open_runs: int) -> Notice:
    """That a panic was called, and by whom; of the trader's own, too: it may have been another who has his phone."""
    caller = "PANIC by the operator of TradeActors" if panic.asked_by == "operator" else "PANIC"
    ended = f"{_strategies(open_runs)} being ended" if open_runs else "no strategy was running"
    text = f"{caller}: nothing more is bought, {ended}, and your schedules are paused until you resume them."
    return Notice(kind=NoticeKind.PANIC, key=f"panic:{panic.id}", text=text, at=panic.asked_at)


def notice_of_end(
    panic: Panic, outcomes: Sequence[PanicOutcome], kept: Mapping[str, Any] | None, at: datetime
) -> Notice:
    """What it has come to. One that was called again and has ended nothing more makes the same notice."""
    text = f"PANIC is done. {sentence(outcomes, shares_answer(kept), finished=True)}."
    return Notice(kind=NoticeKind.PANIC, key=f"panic:{panic.id}:done:{len(outcomes)}", text=text, at=at)


def _strategies(number: int) -> str:
    return "1 strategy is" if number == 1 else f"{number} strategies are"
