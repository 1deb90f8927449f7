"""Where a panic reaches the schedules (row N4), which start strategies by themselves."""

import structlog

log = structlog.stdlib.get_logger(__name__)


async def pause_schedules(user_id: int, reason: str) -> None:
    """Pause every schedule of the user until it is resumed by hand. No schedules exist yet, so there are none to pause.

    Even one that is forgotten here buys nothing: its START is refused, and its BUY would be.
    """
    log.info("no_schedules_to_pause", user_id=user_id, reason=reason)
