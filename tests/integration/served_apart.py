"""An application that uvicorn serves in a process of its own: what its clients compute takes nothing from it."""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from config.settings import Settings
from tests.integration.served import served

_START_S = 60.0
_END_S = 30.0


@contextmanager
def served_apart(settings: Settings) -> Iterator[str]:
    """The URL of an application in another process, whose engine sells nothing: STOP may be pressed often."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(settings, theirs), name="served api", daemon=True)
    process.start()
    try:
        assert ours.poll(_START_S), "the server has not started"
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(_END_S)
        assert process.exitcode == 0, "the server has not ended well"


def _serve(settings: Settings, told: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    with served(settings, flat_on_stop=False) as url:
        told.send(url)
        told.recv()
