"""Runs that are far longer than a page of their timeline."""

from typing import Any

from sqlalchemy import text

from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Run

_INTENTS = """
INSERT INTO intents (run_id, leg, seq, side, quantity, cause, tag, state, order_id, filled_quantity, reason)
SELECT :run, 'EXIT', n, 'SELL', 10, CAST(:cause AS text), 'L' || :run || 'X' || n, 'rejected', 'order-' || n, 0,
       'RMS: blocked'
FROM generate_series(1, :exits) AS n
"""
_ATTEMPTS = """
INSERT INTO order_logs (user_id, strategy_id, run_id, leg, seq, event, order_id, status, detail, occurred_at)
SELECT :user, :strategy, :run, 'EXIT', n, CAST(:cause AS text), 'order-' || n, 'accepted',
       jsonb_build_object('sent_at', at, 'triggered_at', at), at + interval '10 ms'
FROM generate_series(1, :exits) AS n, LATERAL (SELECT CAST(:at AS timestamptz) + n * interval '15 s' AS at) AS due
"""
_REJECTIONS = """
INSERT INTO order_logs (user_id, strategy_id, run_id, leg, seq, event, order_id, status, reason, occurred_at)
SELECT :user, :strategy, :run, 'EXIT', n, 'ORDER_REJECTED', 'order-' || n, 'REJECTED', 'RMS: blocked ' || n,
       CAST(:at AS timestamptz) + n * interval '15 s' + interval '20 ms'
FROM generate_series(1, :exits) AS n
"""


async def record(sessions: Sessions, run: Run, *statements: str, **values: Any) -> None:
    """Rows of the run."""
    about = {"run": run.id, "user": run.user_id, "strategy": run.strategy_id, "at": run.buy_at}
    async with transaction(sessions) as session:
        for statement in statements:
            used = {name: value for name, value in (about | values).items() if f":{name}" in statement}
            await session.execute(text(statement), used)


async def record_exits(sessions: Sessions, run: Run, exits: int, cause: str = "STOPLOSS") -> None:
    """Exits that the broker took and rejected, each with two lines, as an exit that is tried again and again leaves."""
    await record(sessions, run, _INTENTS, _ATTEMPTS, _REJECTIONS, exits=exits, cause=cause)
