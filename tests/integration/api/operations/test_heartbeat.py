"""The sign that the engine can trade, at a real receiver: it comes while all is well, and ends with Redis."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Literal

import pytest
from pydantic import SecretStr

from api.operations.heartbeat import Heartbeat
from api.overview.facts import Facts
from api.overview.looking import RecentFacts
from api.readiness.findings import Fault
from config.settings import Settings
from tests.kit.embedded_metrics import taken_from
from tests.unit.config.overview.facts import NOW, facts, run


class Seen(RecentFacts):
    """Facts as the test wants them."""

    def __init__(self, seen: Facts) -> None:
        self.seen = seen

    async def facts(self) -> Facts:
        return self.seen


class Nothing:
    """No fault."""

    async def faults(self) -> tuple[Fault, ...]:
        return ()


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Where signs are sent to, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/ping/secret-id", asked
    finally:
        server.shutdown()
        server.server_close()


def beating(url: str, seen: Facts, log_metrics: Literal["none", "cloudwatch"] = "none") -> Heartbeat:
    settings = Settings.model_construct(heartbeat_url=SecretStr(url), log_metrics=log_metrics)
    return Heartbeat(settings, Seen(seen), Nothing())  # type: ignore[arg-type]


async def test_the_sign_comes_while_all_is_well_and_not_without_an_execution_actor() -> None:
    with receiver() as (url, asked):
        assert await beating(url, facts([run()])).beat()
        assert asked == ["/ping/secret-id"]
        assert not await beating(url, facts([run()], mirror={"presences": ()})).beat()
        assert not await beating(url, facts(database=None)).beat()
        assert len(asked) == 1


async def test_a_service_that_does_not_take_it_is_said_without_its_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="httpx")  # as `configure_logging` sets it: it tells addresses
    with caplog.at_level(logging.INFO), receiver(status=500) as (url, asked):
        assert not await beating(url, facts()).beat()
        assert asked
    assert not await beating("http://127.0.0.1:9/ping/secret-id", facts()).beat()
    assert "secret-id" not in caplog.text


async def test_the_figures_for_cloudwatch_are_written_also_when_the_sign_is_kept_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from config.logging import configure_logging

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logging("json")
    try:
        await beating("", facts(database=None), log_metrics="cloudwatch").beat()
    finally:
        root.handlers[:], root.level = handlers, level
    (figures,) = [line for line in capsys.readouterr().err.splitlines() if json.loads(line)["event"] == "figures"]
    taken = {metric.name: metric.value for metric in taken_from(figures, NOW)}
    assert (taken["DatabaseUp"], taken["RedisUp"]) == (0.0, 1.0)
