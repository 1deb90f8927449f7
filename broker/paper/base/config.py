"""Settings of one paper exchange process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

DEFAULT_SOURCES = ("walk", "hold")
MAX_CLOCK_FACTOR = 1000
LAST_PORT = 65_535
DATA_DIRECTORY = Path(__file__).parents[1] / "data"


@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """Everything that can differ between two runs; the defaults imitate Kite on a good day.

    Durations are seconds, money is paise. ``port=0`` lets the system choose one. ``ledger_path=None`` keeps the
    ledger in memory, so that nothing outlives the process.
    """

    host: str = "127.0.0.1"
    port: int = 8085
    ledger_path: Path | None = None
    token_path: Path | None = None  # a file with the token of the control API; None: any local program may use it
    allowed_hosts: tuple[str, ...] = ()  # names by which it may be called, beside `host` and this machine's
    instruments_path: Path = DATA_DIRECTORY / "instruments.csv"

    seed: int = 1
    default_source: str = "walk"  # "walk" or "hold", for instruments that were given no source
    walk_volatility: float = 0.0005  # standard deviation of one step, as a share of the price
    tick_seconds: float = 1.0  # Kite relays about one snapshot a second
    heartbeat_seconds: float = 1.0
    liquidity_per_tick: int | None = None  # shares that can trade between two ticks; None = no limit

    stage_seconds: float = 0.008  # one step of the status walk; four of them before OPEN
    reply_seconds: float = 0.0  # added before the answer to an order request

    starting_cash_paise: int = 100_000_000_00  # ten crore rupees: margins exist but do not get in the way
    intraday_margin_percent: int = 20  # MIS and derivatives; CNC pays in full

    # Caps of the retail algo rules of April 2026 (per account, calendar second of the server); 0 = no cap.
    orders_per_second: int = 10
    orders_per_minute: int = 400
    orders_per_day: int = 5000
    max_modifications: int = 25
    max_sockets: int = 3
    max_subscriptions: int = 3000

    # An ISO time with its offset to set the clock to at the start, and exchange seconds per second of the machine.
    clock_at: str | None = None
    clock_factor: float = 1.0
    session: bool = False  # keep the hours of an Indian trading day; off: open round the clock

    request_token_seconds: float = 120.0
    login_password: str = "paper"  # noqa: S105 - of every account, at the login page; it opens paper money only
    redirect_url: str | None = None  # where the login page leads back to, for accounts without one of their own
    keep_alive_seconds: int = 75

    def __post_init__(self) -> None:
        """Refuse settings that would only show later, as a market that does not tick."""
        if self.default_source not in DEFAULT_SOURCES:
            raise ValueError(f"default_source must be one of {', '.join(DEFAULT_SOURCES)}")
        if self.tick_seconds <= 0 or self.heartbeat_seconds <= 0:
            raise ValueError("tick_seconds and heartbeat_seconds must be above 0")
        if not 0 < self.clock_factor <= MAX_CLOCK_FACTOR:
            raise ValueError(f"clock_factor must be above 0 and at most {MAX_CLOCK_FACTOR}")
        if not 0 <= self.port <= LAST_PORT:
            raise ValueError(f"port must be 0 to {LAST_PORT}")
        if self.redirect_url is not None and not self.redirect_url.startswith(("http://", "https://")):
            raise ValueError("redirect_url must be an http:// or https:// address")
        if self.clock_at is not None and datetime.fromisoformat(self.clock_at).tzinfo is None:
            raise ValueError("clock_at must be a time with its offset, such as 2026-11-30T09:00:00+05:30")
