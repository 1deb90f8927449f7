"""An application that uvicorn serves in a thread, as `tradeactors api` serves it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr

from api.app import create_app
from api.server import ApiServer, api_server
from config.settings import Settings, load_settings
from persistence.database.engine import open_database, sessions_of
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from persistence.secrets.encryption import generate_key
from tests.kit.databases import PATIENT_S
from tests.kit.fakes.strategy_engine import FakeEngine


def settings_of(postgres_url: str, redis_url: str, paper_url: str, data_dir: Path, **changes: Any) -> Settings:
    """Settings of an application that outlives one test."""
    return load_settings(
        env_file=None,
        database_url=postgres_url,
        redis_url=redis_url,
        paper_root=paper_url,
        brokers=("paper",),
        jwt_secret=SecretStr("integration tests sign with this secret"),
        encryption_keys=(SecretStr(generate_key()),),
        data_dir=data_dir,
        **{"max_running_total": 100_000} | changes,  # tests share the database, and leave their runs behind
    )


@contextmanager
def served(settings: Settings, *, flat_on_stop: bool = True) -> Iterator[str]:
    """The URL of an application that uvicorn serves in a thread, with an engine that remembers what it was asked.

    `flat_on_stop`: whether STOP sells at once.
    """
    started: Future[tuple[ApiServer, asyncio.AbstractEventLoop, str]] = Future()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, started, flat_on_stop))

    thread = threading.Thread(target=run, name="served api", daemon=True)
    thread.start()
    server, loop, url = started.result(timeout=30)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)
        thread.join(timeout=30)
        assert not thread.is_alive(), "the server has not ended"


async def _serve(
    settings: Settings, started: "Future[tuple[ApiServer, asyncio.AbstractEventLoop, str]]", flat_on_stop: bool
) -> None:
    try:
        database = open_database(settings.database_url, pool_size=5)
        mirror = RuntimeMirror.connect(settings.redis_url, timeout_s=PATIENT_S)
        app = create_app(settings, FakeEngine(RunLedger(sessions_of(database), mirror), flat_on_stop=flat_on_stop))
        server = api_server(app, "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            assert not serving.done(), "the server has not started"
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        started.set_result((server, asyncio.get_running_loop(), f"http://127.0.0.1:{port}"))
        await serving
        await mirror.close()
        await database.dispose()
    except BaseException as error:
        if not started.done():
            started.set_exception(error)
        raise
