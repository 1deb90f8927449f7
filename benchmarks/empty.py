"""As near to nothing as an actor can be. A module of its own: importing it is part of what such an actor costs."""

import os


class Empty:
    """It is there."""

    async def ready(self) -> None:
        """Be there."""

    async def process_id(self) -> int:
        """Its process."""
        return os.getpid()
