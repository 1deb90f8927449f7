"""The rows that a START writes: the run, its first intent, and the state that its actor begins with."""

import secrets
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from actors.domain.identifiers import Product
from actors.domain.session import SessionTimes
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.spec import StrategyRun
from actors.domain.strategy.state import StrategyState
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.mirror.fields import instrument_of

STARTED = "START"
"""`last_action` of a run that has done nothing yet."""

_TAG_KEY_BYTES = 16


def new_run(strategy: Strategy, account_id: int, times: SessionTimes, message: str, *, tick_paise: int = 0) -> Run:
    """The run of a strategy in one session. `message` is what its status says at first.

    `tick_paise`: the grid of the instrument's prices, 0 if it is not known.
    """
    return Run(
        strategy_id=strategy.id,
        user_id=strategy.user_id,
        broker_account_id=account_id,
        tag_key=secrets.token_bytes(_TAG_KEY_BYTES),
        buy_at=times.buy_at,
        sell_at=times.sell_at,
        stop_loss_paise=strategy.stop_loss_paise,
        stop_share=strategy.stop_share,
        tick_paise=tick_paise,
        quantity=strategy.quantity,
        product=strategy.product,
        last_action=STARTED,
        message=message,
    )


def first_intent(run: Run, strategy: Strategy, zone: tzinfo) -> Intent:
    """The armed ENTRY of a stored run."""
    intent = _described(run, strategy, zone).entry_intent()
    return Intent(
        run_id=run.id,
        leg=intent.id.leg,
        seq=intent.id.seq,
        side=intent.side,
        quantity=intent.quantity,
        cause=intent.event,
        tag=intent.tag,
    )


def first_state(run: Run, strategy: Strategy, zone: tzinfo, *, has_derivatives: bool = False) -> dict[str, Any]:
    """The snapshot that the actor of a stored run begins with, so that it says what START said.

    `has_derivatives`: whether futures are written on the share, which changes the hours of its orders.
    """
    scheduled = StrategyState.scheduled(_described(run, strategy, zone))
    told = replace(scheduled, message=run.message, last_action=run.last_action, has_derivatives=has_derivatives)
    return dump_state(told)


def _described(run: Run, strategy: Strategy, zone: tzinfo) -> StrategyRun:
    if run.broker_account_id is None:
        raise ValueError(f"run {run.id} has no broker account")
    return StrategyRun(
        run_id=run.id,
        strategy_id=run.strategy_id,
        user_id=run.user_id,
        account_id=run.broker_account_id,
        instrument=instrument_of(strategy),
        product=Product(run.product),
        quantity=run.quantity,
        stop_loss=run.stop_loss_paise,
        stop_share=run.stop_share,
        tick=run.tick_paise,
        buy_at=run.buy_at.astimezone(zone),
        sell_at=run.sell_at.astimezone(zone),
        tag_key=run.tag_key,
    )
