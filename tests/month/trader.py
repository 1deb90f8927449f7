"""A trader of the month: his app, his login at the broker in the morning, his strategies and his inbox."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx

from tests.kit.login_form import Browser
from tests.kit.mail_server import MailServer
from tests.kit.paper import PaperControl, PaperCredentials
from tests.month.judge import Mail, Order, Told, orders_of
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

    @property
    def email(self) -> str:
        """His address."""
        return f"{self.name}@example.com"

    def hear_by_mail(self, post: MailServer) -> None:
        """Have all notices mailed, with their amounts and by the usual quiet hours."""
        self.ok("PUT", "/notifications/preferences", {"amounts": True})
        channel = self.ok("POST", "/notifications/channels", {"kind": "email", "address": self.email})["channel_id"]
        code = re.search(r"\d{8}", post.text())
        assert code is not None, post.text()
        self.ok("POST", f"/notifications/channels/{channel}/verify", {"code": code[0]})

    def mails(self, post: MailServer) -> list[Mail]:
        """The notices in his mailbox, oldest first."""
        return [
            Mail(self.name, tuple(filter(None, post.text(n).splitlines())), parsedate_to_datetime(mail["Date"]))
            for n, (recipients, mail) in enumerate(post.mails)
            if recipients == [self.email] and mail["Message-ID"].startswith("<notice-")
        ]

    def panic(self) -> str:
        """Press it; the panic's id."""
        return str(self.ok("POST", "/panic")["panic_id"])

    def is_flat(self, panic_id: str) -> bool:
        """Whether a panic has come to its end."""
        return bool(self.ok("GET", f"/panic/{panic_id}")["state"] == "finished")

    def resume(self) -> None:
        """Allow entries again, and let all schedules go on."""
        self.ok("POST", "/auth/confirm", {"password": PASSWORD})
        self.ok("POST", "/risk/unlock")
        for strategy_id in self.ids.values():
            self.ok("POST", f"/strategy/{strategy_id}/schedule/resume")

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
        answer = self._http.post(path, json={"email": self.email, "password": PASSWORD})
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
