"""What a server says to a trader who holds shares in many strategies; a test sets how fast, and when it falls silent.

Its answers are the examples of the API's own document, so that they have every field that a real one has.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from playwright.sync_api import Browser, Page

from api.openapi.examples import EXAMPLES
from api.web.routes import BUNDLE
from tests.web.served import served_app
from tests.web.test_looks import CONFIG

TOKEN_S = 900
"""How long an access token lasts, where a test says nothing else."""

ROOMS = ("auth", "broker", "notifications", "strategy", "market", "orders", "readiness", "schedule", "panic")
DOCUMENT = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text())


def example(path: str) -> dict[str, Any] | None:
    """What the API's document shows as the answer to `GET path`; none where it shows none."""
    shown = DOCUMENT["paths"].get(path, {}).get("get", {}).get("responses", {}).get("200", {})
    found: dict[str, Any] | None = shown.get("content", {}).get("application/json", {}).get("example")
    return found


def symbol(number: int) -> str:
    """Of a strategy's share."""
    return f"SHARE{number}"


def now() -> str:
    """The present instant, as the API says it."""
    return datetime.now(ZoneInfo("Asia/Kolkata")).isoformat()


def event(name: str, data: object) -> str:
    """One event of a stream."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@dataclass
class PlayedServer:
    """`pause_s`: between two events of prices; `step_ms`: how much later than by the clock each is said to be.
    `ahead_s`: how much its clock is ahead of the machine's.

    `silent`: nothing is said on any stream, neither on those that are open nor on new ones. `sold`: strategies that
    have ended; `idle`: those that never ran; `gone`: those that were deleted. `answers`: it knows more than strategies,
    and answers each `GET` as the API's document shows. `version` is its own, `oldest` that of the oldest app that works
    with it.
    """

    strategies: int = 1
    token_s: float = TOKEN_S
    pause_s: float = 1.0
    step_ms: int = 0
    ahead_s: float = 0.0
    sent: int = 0
    silent: bool = False
    answers: bool = False
    ended: bool = False
    version: str = "0.1.0"
    oldest: str = "0.1.0"
    sold: set[int] = field(default_factory=set)
    idle: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    told: list[int] = field(default_factory=list)
    hung_up: int = 0
    asked: list[str] = field(default_factory=list)
    granted: list[float] = field(default_factory=list)
    began: str = field(default_factory=now)
    opened: int = 0
    streams: list[int] = field(default_factory=list)
    """The open ones, each by the number of its token."""

    gaps: int = 0
    """How often the last open stream came to its end."""

    cut: int = 0
    """How many streams ended because their token did."""

    @property
    def router(self) -> APIRouter:
        """Its routes."""
        router = APIRouter()
        router.add_api_route("/app/config", self._config)
        for entry in ("refresh", "login"):
            router.add_api_route(f"/auth/{entry}", self._refresh, methods=["POST"])
        router.add_api_route("/strategy/events", self._events)
        router.add_api_route("/strategy/list", self._list)
        router.add_api_route("/strategy/status/{number}", self._status)
        router.add_api_route("/strategy/{number}", self._definition)
        for room in ROOMS:
            router.add_api_route(f"/{room}{{rest:path}}", self._nothing)
        return router

    def asked_for(self, end: str) -> int:
        """How many requests there were for paths with this end."""
        return sum(path.endswith(end) for path in self.asked)

    def has_renewed(self, times: int) -> bool:
        """Whether the token has been renewed this often, and the stream of the last one is the only one."""
        return len(self.granted) > times and self.streams == [len(self.granted) - 1]

    def tell(self, number: int) -> None:
        """How this strategy stands now, on each stream."""
        self.told.append(number)

    def hang_up(self) -> None:
        """End each stream. The next ones begin with another snapshot."""
        self.hung_up += 1

    def _clock(self) -> float:
        return time.monotonic() + self.ahead_s

    def _there(self) -> list[int]:
        return [number for number in range(1, self.strategies + 1) if number not in self.gone]

    async def _config(self) -> dict[str, Any]:
        return CONFIG | {"version": self.version, "minimum_client_version": self.oldest}

    async def _refresh(self) -> dict[str, Any]:
        self.granted.append(self._clock())
        token = str(len(self.granted) - 1)
        return {"access_token": token, "token_type": "bearer", "expires_in": self.token_s, "refresh_token": None}

    async def _list(self, offset: int = 0, limit: int = 50) -> dict[str, Any]:
        self.asked.append("/strategy/list")
        rows = [await self._definition(number) for number in reversed(self._there())]
        page = rows[offset : offset + limit]
        return {"strategies": page, "total": len(rows), "total_capped": False, "limit": limit, "offset": offset}

    async def _definition(self, number: int) -> dict[str, Any]:
        return EXAMPLES["StrategyAnswer"] | {"strategy_id": number, "symbol": symbol(number)}

    async def _status(self, number: int) -> dict[str, Any]:
        return self._of(number)

    async def _nothing(self, request: Request) -> JSONResponse:
        self.asked.append(request.url.path)
        shown = example(request.url.path) if self.answers and request.method == "GET" else None
        if shown is not None:
            return JSONResponse(shown)
        return JSONResponse({"detail": "Not here", "code": "not_here"}, 503)

    async def _events(self, request: Request) -> Response:
        token = int(request.headers["authorization"].removeprefix("Bearer "))
        if self._clock() >= self.granted[token] + self.token_s:
            return JSONResponse({"detail": "The token has ended", "code": "token_expired"}, 401)
        self.opened += 1
        if self.silent:
            await self._wait_for_the_end()
        return StreamingResponse(self._stream(token), media_type="text/event-stream")

    async def _stream(self, token: int) -> AsyncIterator[str]:
        until = self.granted[token] + self.token_s
        self.streams.append(token)
        told, hung_up = len(self.told), self.hung_up
        try:
            yield event("hello", {"time": now(), "version": self.version, "user_id": 1})
            for number in self._there():
                yield event("snapshot", self._of(number))
            yield event("snapshot_end", {"strategies": len(self._there())})
            while not self.ended and self.hung_up == hung_up:
                if self._clock() >= until:
                    self.cut += 1
                    return
                if self.silent:
                    await self._wait_for_the_end()
                for number in self.told[told:]:
                    yield event("strategy", self._of(number))
                told = len(self.told)
                prices = [self._price(number) for number in self._there()]
                yield event("prices", {"prices": prices})
                self.sent += 1
                await asyncio.sleep(self.pause_s)
        finally:
            self.streams.remove(token)
            self.gaps += not self.streams and not self.ended

    async def _wait_for_the_end(self) -> None:
        while not self.ended:  # noqa: ASYNC110 - the test ends it, in another thread
            await asyncio.sleep(0.05)

    def _price(self, number: int) -> dict[str, Any]:
        last_price = 1500 + (number + self.sent) % 40 / 4
        age_ms = 100 - self.step_ms * self.sent
        feed = {"feed": "live", "feed_lag_ms": 40, "feed_since": None}
        return {"symbol": symbol(number), "last_price": last_price, "last_price_age_ms": age_ms, **feed}

    def _of(self, number: int) -> dict[str, Any]:
        known = EXAMPLES["StrategyStatus"] | {"strategy_id": number, "charges": None, "net_pnl": None, "pnl": None}
        known |= {"updated_at": self.began, "status_detail": "", **self._price(number)}
        if number in self.idle:
            never = {"run_id": None, "strategy_status": "created", "phase": "created", "position": "none"}
            return known | never | {"last_action": "", "message": "", "buy_at": None, "buy_price": None, "next": None}
        if number in self.sold:
            return known | {"strategy_status": "stopped", "position": "sold", "next": None, "updated_at": now()}
        guard = {"state": "guarded", "reason": None, "since": now(), "confirmed_at": now()}
        held = {"strategy_status": "running", "phase": "holding", "position": "bought", "last_action": "BUY"}
        sells = {"next": {"what": "sell", "at": "2030-01-02T15:10:00+05:30"}, "stop_now": 1400.0}
        return known | held | sells | {"guard": guard | {"by": ["strategy", "execution"]}, "unrealised_pnl": 0.0}


@contextmanager
def trader_at(
    server: PlayedServer,
    browser: Browser,
    path: str = "today",
    *,
    script: str = "",
    own_clock: bool = False,
    worker: bool = True,
) -> Iterator[Page]:
    """A phone that is logged in there. `script` runs before the app's; `own_clock`: its clock can be put forward.

    Without `worker` no service worker stands between the page and the routes of a test.
    """
    with served_app(BUNDLE, 0, server.router) as address:
        allowed: Literal["allow", "block"] = "allow" if worker else "block"
        context = browser.new_context(viewport={"width": 360, "height": 740}, service_workers=allowed)
        context.add_init_script(f"localStorage.setItem('tradeactors.login', 'yes'); {script}")
        page = context.new_page()
        if own_clock:
            page.clock.install()
        try:
            page.goto(f"{address}/app/#/{path}")
            yield page
        finally:
            server.ended = True
            context.close()
