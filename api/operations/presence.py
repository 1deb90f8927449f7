"""A process of the API says that it runs, so that an operator sees it (`persistence.mirror.presence`)."""

import contextlib
import os
import socket

from persistence.errors import MirrorUnavailable
from persistence.mirror.presence import MirroredPresence, keep_present


async def keep_api_present(mirror: MirroredPresence) -> None:
    """Say so until cancelled; a process that ends as it should is not missed afterwards."""
    host, pid = socket.gethostname(), os.getpid()
    name = f"api:{host}:{pid}"
    try:
        await keep_present(mirror, name, host, pid)
    finally:
        with contextlib.suppress(MirrorUnavailable):
            await mirror.forget_presence(name)
