"""What the shells need of the world, as protocols, and the values that cross them.

Values are frozen and made of standard types and domain types, so they travel between processes as they are.
"""

from actors.domain.cover import PositionKey, position_key
from actors.ports.broker import (
    AccountRecords,
    Attempt,
    AttemptLog,
    BrokerSessionExpired,
    BrokerUnavailable,
    ClaimsUnavailable,
    ClaimVerdict,
    KnownIntent,
    OrderClaims,
    OrderGateway,
    OrderGateways,
    OrderNote,
    OrderUpdates,
    PlaceResult,
    StrategyEvents,
)
from actors.ports.common import (
    Clock,
    EntryRefused,
    PeerUnavailable,
    StaleEpoch,
)
from actors.ports.engine import (
    EngineUnavailable,
    RecoveryReport,
    StopResult,
    WordTaken,
)
from actors.ports.prices import (
    FeedStatus,
    PriceMirror,
    PriceWatch,
    TickReceiver,
    TickSource,
    TickStream,
    TooManyInstruments,
)
from actors.ports.strategy import (
    Holding,
    Journal,
    JournalEntry,
    LoadedRun,
    LoggedEvent,
    OrderCommand,
    OrderDesk,
)

__all__ = [
    "AccountRecords",
    "Attempt",
    "AttemptLog",
    "BrokerSessionExpired",
    "BrokerUnavailable",
    "ClaimVerdict",
    "ClaimsUnavailable",
    "Clock",
    "EngineUnavailable",
    "EntryRefused",
    "FeedStatus",
    "Holding",
    "Journal",
    "JournalEntry",
    "KnownIntent",
    "LoadedRun",
    "LoggedEvent",
    "OrderClaims",
    "OrderCommand",
    "OrderDesk",
    "OrderGateway",
    "OrderGateways",
    "OrderNote",
    "OrderUpdates",
    "PeerUnavailable",
    "PlaceResult",
    "PositionKey",
    "PriceMirror",
    "PriceWatch",
    "RecoveryReport",
    "StaleEpoch",
    "StopResult",
    "StrategyEvents",
    "TickReceiver",
    "TickSource",
    "TickStream",
    "TooManyInstruments",
    "WordTaken",
    "position_key",
]
