"""A trader of the month: his app, his login at the broker in the morning, his strategies and his inbox."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, cast

import httpx

from tests.kit.login_form import Browser
from tests.kit.paper import PaperControl, PaperCredentials
from tests.month.judge import Order, Told, orders_of
from tests.month.plan import Planned

PASSWORD = "correct horse battery staple"
STOP_PERCENT = 10
_DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNAUTHORIZED = 401
_PAGE = 100


@dataclass
class MonthTrader:
    """One of the three. `ids`: his strategies by what was planned of them."""

    name: str
    api_url: str
    exchange: PaperControl
    account: PaperCredentials
    ids: dict[Planned, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._http = httpx.Client(base_url=self.api_url, timeout=30, trust_env=False)
        self._app("/auth/register")

    def morning(self) -> None:
        """Log in at the broker: the link of a message, the broker's page, and back."""
        link = self.ok("POST", "/broker/login-link")["login_link"]
        browser = Browser()
        page = browser.open(browser.log_in(browser.open(link).headers["location"], self.account.user_id))
        assert "<h1>Connected</h1>" in page.text, page.text

    def connect(self) -> None:
        """The first connection, with keys."""
        keys = {name: getattr(self.account, name) for name in ("api_key", "api_secret", "access_token")}
        self.ok("POST", "/broker/connect", {"broker": "paper", **keys})

    def schedule(self, planned: Planned) -> None:
        """Create a strategy, and its schedule."""
        body = {
            "symbol": planned.symbol,
            "buy_time": f"{planned.buy:%H:%M:%S}",
            "sell_time": f"{planned.sell:%H:%M:%S}",
            "stop_loss_percent": STOP_PERCENT,
            "quantity": planned.quantity,
            "product": planned.product,
        }
        strategy_id: int = self.ok("POST", "/strategy/create", body)["strategy_id"]
        days = [_DAY_NAMES[day] for day in planned.days] or "every_session"
        put = {"days": days, "special_sessions": planned.special_sessions}
        self.ok("PUT", f"/strategy/{strategy_id}/schedule", put)
        self.ids[planned] = strategy_id

    def day(self, planned: Planned, day: date) -> dict[str, Any]:
        """What its schedule has recorded of a day; empty if nothing."""
        latest = self.ok("GET", f"/strategy/{self.ids[planned]}/schedule")["latest"]
        return next((row for row in latest if row["date"] == day.isoformat()), {})

    def position(self, planned: Planned) -> str:
        """How far the strategy's run has come."""
        return str(self.ok("GET", f"/strategy/status/{self.ids[planned]}")["position"])

    def closed(self, day: date) -> bool:
        """Whether his overview of the coming days shows one as closed."""
        days = self.ok("GET", "/schedule?days=14")["days"]
        return any(row["date"] == day.isoformat() and row["closed"] == "holiday" for row in days)

    def orders(self) -> list[Order]:
        """What reached the exchange."""
        return orders_of(self.name, self.exchange.ledger(self.account.user_id))

    def told(self) -> list[Told]:
        """His whole inbox, oldest first."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self.ok("GET", f"/notifications?limit={_PAGE}&offset={len(rows)}")
            rows += page["notifications"]
            if len(page["notifications"]) < _PAGE:
                return [self._told(row) for row in reversed(rows)]

    def ok(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A call that must succeed. His app logs in again when its token is too old."""
        answer = self._http.request(method, path, json=body)
        if answer.status_code == _UNAUTHORIZED:
            self._app("/auth/login")
            answer = self._http.request(method, path, json=body)
        assert answer.is_success, f"{self.name}: {method} {path}: {answer.status_code} {answer.text}"
        return cast("dict[str, Any]", answer.json())

    def _app(self, path: str) -> None:
        self._http.headers.pop("Authorization", None)
        answer = self._http.post(path, json={"email": f"{self.name}@example.com", "password": PASSWORD})
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _told(self, row: dict[str, Any]) -> Told:
        mine = {strategy_id: planned for planned, strategy_id in self.ids.items()}
        return Told(
            self.name,
            row["kind"],
            row["text"],
            datetime.fromisoformat(row["at"]),
            mine.get(row["strategy_id"]),
            row["lasts"],
            row["resolves"],
        )
