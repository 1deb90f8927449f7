"""What crosses the border between the engine and its journal: frozen values of standard-library types only.

Instants are timezone-aware, `…_paise` are integers in paise, `Decimal` prices and sums are rupees. The words in
`status`, `position`, `leg`, `side` and `state` are those of `persistence/database/models/`; the database refuses
others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

FINAL_INTENT_STATES = frozenset({"filled", "rejected", "cancelled", "failed"})
"""States of an intent whose result is recorded. Only a failed one can be tried again under the same id (ruling 3)."""

WORKING_INTENT_STATES = frozenset({"claimed", "sent", "acknowledged"})
"""States of an intent for which a request may have left us and whose result is not known."""

JsonObject = Mapping[str, Any]
"""A JSON object: only `None`, `bool`, `int`, `float`, `str`, lists and dictionaries inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecord:
    """One wish to trade, unique by (run_id, leg, seq).

    `cause` is what the intent is acted on for (BUY, SELL, STOPLOSS, …); an exit armed ahead of time has none yet.
    """

    run_id: int
    leg: str
    seq: int
    side: str
    quantity: int
    tag: str
    cause: str | None = None
    state: str = "armed"
    claim_epoch: int | None = None
    order_id: str | None = None
    filled_quantity: int = 0
    average_price: Decimal | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIntent:
    """An intent as the watcher of a broker account needs it, and what it trades."""

    run_id: int
    strategy_id: int
    user_id: int
    leg: str
    tag: str
    exchange: str
    tradingsymbol: str
    product: str
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as a (re)starting actor needs it; `epoch` is already the caller's own."""

    run_id: int
    strategy_id: int
    user_id: int
    account_id: int
    broker: str
    exchange: str
    tradingsymbol: str
    instrument_token: int
    product: str
    quantity: int
    stop_loss_paise: int
    stop_share: int | None = None
    tick_paise: int = 0
    buy_at: datetime
    sell_at: datetime
    tag_key: bytes = field(repr=False)
    epoch: int
    state: JsonObject | None
    intents: tuple[IntentRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One line of `order_logs`."""

    event: str
    occurred_at: datetime
    leg: str | None = None
    seq: int | None = None
    order_id: str | None = None
    status: str | None = None
    quantity: int | None = None
    price: Decimal | None = None
    reason: str | None = None
    detail: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRuntime:
    """The part of a run that changes while it runs, as `runs` stores it and `runtime:{id}` shows it."""

    status: str
    position: str
    status_detail: str
    last_action: str
    message: str
    stop_loss_paise: int
    filled_quantity: int
    updated_at: datetime
    stop_share: int | None = None
    buy_price: Decimal | None = None
    sell_price: Decimal | None = None
    pnl: Decimal | None = None
    last_price_paise: int | None = None
    last_buy_order: str | None = None
    last_sell_order: str | None = None
    last_sl_order: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUpdate:
    """Everything one step of a strategy changes, recorded as a whole or not at all.

    `ended` closes the run at `runtime.updated_at`. `delete_mirror` (row I1, manual STOP) removes the strategy's
    Redis keys at once instead of keeping the final state for a day (ruling 7). `symbol` is the name that the
    Redis keys carry (`Instrument.symbol`). `broker`: where the run trades.
    """

    run_id: int
    strategy_id: int
    user_id: int
    epoch: int
    symbol: str
    runtime: RunRuntime
    state: JsonObject
    intents: tuple[IntentRecord, ...] = ()
    logs: tuple[LogRecord, ...] = ()
    ended: bool = False
    delete_mirror: bool = False
    broker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """A broker account with its secrets still encrypted; `encryption.open_credentials` opens them."""

    account_id: int
    user_id: int
    broker: str
    broker_user_id: str
    secrets_box: bytes = field(repr=False)
    key_version: str
    token_obtained_at: datetime


def strategy_status(run_status: str, *, ended: bool) -> str:
    """The `strategy_status` (row L1) for a run in `run_status`.

    An ended run leaves its strategy `stopped`. A failed run that has not ended is one whose exit keeps being
    retried (ruling 3): nothing new is traded, so it shows as `paused` with the reason in `status_detail`.
    """
    if ended:
        return "stopped"
    return "paused" if run_status == "failed" else run_status
