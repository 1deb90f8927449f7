"""The stamping exchange as a benchmark drives it, in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Breach:
    """A price fell, and what came of it; nanoseconds since 1970."""

    stamp: int
    """Before the tick was written to the first socket."""

    sockets: int
    """To how many it was written."""

    sold: dict[str, int]
    """When each sell order arrived, by its tag; in the order of their arrival."""

    @property
    def latencies_ms(self) -> list[float]:
        """From the tick to each order."""
        return [(stamp - self.stamp) / 1e6 for stamp in self.sold.values()]


class Control:
    """The exchange as a benchmark drives it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.ws_root = root.replace("http", "ws", 1)
        self._http = HTTPConnection(urlsplit(root).netloc, timeout=_PATIENCE_S)

    def open_market(self, key: str, paise: int) -> None:
        """The instrument has this price, and ticks once a second from now on."""
        self._ask("POST", "/bench/market", {"key": key, "paise": paise})

    def close_market(self, key: str) -> None:
        """It no longer ticks."""
        self._ask("POST", "/bench/still", {"key": key})

    def tick(self, key: str, paise: int) -> int:
        """Publish one more tick now; the stamp in nanoseconds since 1970."""
        return int(self._ask("POST", "/bench/tick", {"key": key, "paise": paise}))

    def fall(
        self,
        key: str,
        paise: int,
        orders: int,
        *,
        kill: Iterable[int] = (),
        now: bool = False,
        within_s: float = 60.0,
    ) -> Breach:
        """The next regular tick, or one that comes now, has this price: sleep until `orders` have sold.

        Raises TimeoutError if they have not within `within_s`.
        """
        asked = {"key": key, "paise": paise, "orders": orders, "kill": list(kill), "now": now, "within_s": within_s}
        answer = self._ask("POST", "/bench/fall", asked)
        if len(answer["sold"]) < orders:
            raise TimeoutError(f"{len(answer['sold'])} of {orders} orders within {within_s} s")
        return Breach(answer["stamp"], answer["sockets"], dict(answer["sold"]))

    def listeners(self, key: str) -> int:
        """How many sockets have subscribed an instrument."""
        return int(self._ask("GET", f"/bench/listeners?key={key}"))

    def orders(self) -> list[tuple[str, str, str, int]]:
        """What has arrived since the last call: tag, side, symbol, stamp."""
        return [tuple(row) for row in self._ask("GET", "/bench/orders")]

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        self._http.request(method, path, json.dumps(body) if body is not None else None)
        answer: dict[str, Any] = json.loads(self._http.getresponse().read())
        return answer["data"]


@contextmanager
def running_exchange() -> Iterator[Control]:
    """The exchange in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.exchange"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Control(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
