"""Record keeping: the months of the logs are made ahead of time, ended logins and old answers are forgotten."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from persistence.database.engine import Sessions
from persistence.database.partitions import make_months
from persistence.database.retention import forget_answers, forget_logins
from persistence.errors import PersistenceError

log = structlog.stdlib.get_logger(__name__)

EVERY_S = 3600.0

FIRST_S = 5.0
"""How long after its start a process begins: requests go first, and the default partitions take lines meanwhile."""


async def keep_records(
    sessions: Sessions,
    login_retention: timedelta,
    now: Callable[[], datetime],
    first_s: float = FIRST_S,
    every_s: float = EVERY_S,
) -> None:
    """Keep records until cancelled: after `first_s`, then every `every_s` seconds. Any number of processes may do so.

    Records of trades are not removed here: that is the operator's command `tradeactors prune`.
    """
    await asyncio.sleep(first_s)
    while True:
        try:
            made = await make_months(sessions, now())
            logins = await forget_logins(sessions, now() - login_retention)
            answers = await forget_answers(sessions)
        except PersistenceError as error:  # the default partitions take the lines meanwhile
            log.warning("records_not_kept", error=type(error).__name__, reason=str(error))
        else:
            if made or logins or answers:
                log.info("records_kept", months_made=made, logins_forgotten=logins, answers_forgotten=answers)
        await asyncio.sleep(every_s)
