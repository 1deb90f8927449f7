"""A `MarketFeed` or an `OrderUpdateStream` in a process of its own, since the Twisted reactor cannot be started twice.

Run as a module it obeys JSON commands on stdin and prints what its callbacks got, as JSON lines.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from broker.proxy import Proxy
from tests.kit.paper import REPOSITORY, PaperCredentials, eventually

READY = "ready"
"""Said once the process has everything that it needs: what a machine takes to import it is no time of the feed's."""


class FeedProcess:
    """The feed, and everything its callbacks reported, each with the `time.monotonic()` of the call."""

    def __init__(
        self,
        ws_root: str,
        *,
        updates: bool = False,
        most_instruments: int = 3000,
        trusts: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """`trusts`: a certificate that this process takes for that of an authority. `variables`: of its environment."""
        self._environment = os.environ | ({"SSL_CERT_FILE": str(trusts)} if trusts else {}) | dict(variables or {})
        what = "updates" if updates else "feed"
        self._command = [sys.executable, "-m", "tests.kit.feed_process", ws_root, what, str(most_instruments)]
        self.told: list[dict[str, Any]] = []
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=REPOSITORY,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(60), "the process of the feed did not begin"
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def start(self, account: PaperCredentials, proxy: Proxy | None = None) -> None:
        """`MarketFeed.start`."""
        url = proxy and proxy.url
        self._send({"do": "start", "api_key": account.api_key, "access_token": account.access_token, "proxy": url})

    def subscribe(self, *tokens: int) -> None:
        """`MarketFeed.subscribe`."""
        self._send({"do": "subscribe", "tokens": tokens})

    def unsubscribe(self, token: int) -> None:
        """`MarketFeed.unsubscribe`."""
        self._send({"do": "unsubscribe", "token": token})

    def break_callback(self) -> None:
        """Let the next `on_ticks` raise."""
        self._send({"do": "break"})

    def all(self, what: str) -> list[dict[str, Any]]:
        """Everything of a kind: tick, heard, lost, refused or unreachable."""
        return [told for told in list(self.told) if told["what"] == what]

    def wait_for(self, what: str, count: int = 1, within_s: float = 8.0) -> dict[str, Any]:
        """The so-manieth of a kind."""
        eventually(lambda: len(self.all(what)) >= count, within_s, f"{count} {what} of {self.told[-3:]}")
        return self.all(what)[count - 1]

    def _send(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line) if line.startswith("{") else None
            if told is not None and told["what"] == READY:
                self._ready.set()
            elif told is not None:
                self.told.append(told)


def main(ws_root: str, most_instruments: int) -> None:
    """The life of a process with a feed: until stdin ends."""
    from broker.kite.streams.market_feed import MarketFeed, RawTick
    from broker.kite.streams.websocket import run_reactor

    broken: list[bool] = []

    def on_ticks(ticks: list[RawTick]) -> None:
        if broken:
            broken.clear()
            raise RuntimeError("a callback of ours raised")
        for token, price, exchange_time, _sent_at in ticks:
            tell("tick", token=token, price=price, exchange_time=exchange_time.isoformat())

    feed = MarketFeed(
        ws_root,
        on_ticks=on_ticks,
        on_heard=lambda connection: tell("heard", connection=connection),
        on_lost=lambda connection, reason: tell("lost", connection=connection, reason=reason),
        on_refused=lambda: tell("refused"),
        on_unreachable=lambda: tell("unreachable"),
        most_instruments=most_instruments,
    )
    run_reactor()
    tell(READY)
    for line in sys.stdin:
        command = json.loads(line)
        match command["do"]:
            case "start":
                feed.start(_credentials(command))
            case "subscribe":
                for token in command["tokens"]:
                    tell("place", token=token, connection=feed.subscribe(token))
            case "unsubscribe":
                feed.unsubscribe(command["token"])
            case "break":
                broken.append(True)


def follow_updates(ws_root: str, _most_instruments: int) -> None:
    """The life of a process with a stream of order updates: until stdin ends."""
    from broker.kite.streams.order_updates import OrderUpdateStream
    from broker.kite.streams.websocket import run_reactor

    stream = OrderUpdateStream(
        ws_root,
        on_update=lambda r: tell("update", order_id=r.order_id, stage=r.stage, filled=r.filled_quantity, tag=r.tag),
        on_connected=lambda: tell("connected"),
        on_refused=lambda: tell("refused"),
    )
    run_reactor()
    tell(READY)
    for line in sys.stdin:
        command = json.loads(line)
        stream.start(_credentials(command))


def _credentials(command: dict[str, Any]) -> Any:
    from broker.kite.credentials import KiteCredentials

    proxy = command["proxy"] and Proxy.parse(command["proxy"])
    return KiteCredentials(command["api_key"], command["access_token"], proxy or None)


def tell(what: str, **more: Any) -> None:
    """One line for the test."""
    sys.stdout.write(json.dumps({"what": what, "at": time.monotonic(), **more}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    {"feed": main, "updates": follow_updates}[sys.argv[2]](sys.argv[1], int(sys.argv[3]))
