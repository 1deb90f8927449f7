"""The runs of a user's strategy: what each START came to. Read from the database, which keeps them all."""

from collections.abc import Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from actors.domain.money import round_rupees, to_rupees
from actors.domain.prices.stop_share import to_percent
from api.strategies.service import found
from api.timeline.schemas import RunEntry
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.runs import Run
from persistence.database.repositories.base import Total
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies


async def read_runs(
    sessions: Sessions, user_id: int, strategy_id: int, limit: int, offset: int
) -> tuple[Sequence[Run], Total]:
    """A page of the runs, the latest first, and how many there are.

    Raises:
        ApiError: 404 `strategy_not_found`, also for another tenant's (row K1).
    """
    async with tenant_transaction(sessions, user_id) as session:
        found(await Strategies(session).get(user_id, strategy_id))
        return await Runs(session).page(user_id, strategy_id, limit, offset)


def run_entry(run: Run, zone: tzinfo) -> RunEntry:
    """A run, as the app gets it."""
    values: dict[str, Any] = {
        "run_id": run.id,
        "started_at": run.started_at.astimezone(zone),
        "ended_at": run.ended_at.astimezone(zone) if run.ended_at else None,
        "buy_at": run.buy_at.astimezone(zone),
        "sell_at": run.sell_at.astimezone(zone),
        "product": run.product,
        "quantity": run.quantity,
        "stop_loss": float(to_rupees(run.stop_loss_paise)) if run.stop_loss_paise else None,
        "stop_loss_percent": None if run.stop_share is None else float(to_percent(run.stop_share)),
        "position": run.position,
        "status_detail": run.status_detail,
        "message": run.message,
        "filled_quantity": run.filled_quantity,
        "buy_price": _rupees(run.buy_price),
        "sell_price": _rupees(run.sell_price),
        "pnl": _rupees(run.pnl),
    }
    return RunEntry(**values)


def _rupees(amount: Decimal | None) -> float | None:
    return None if amount is None else float(round_rupees(amount))
