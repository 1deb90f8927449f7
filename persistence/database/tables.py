"""All tables together. A foreign key finds its target only among the tables that have been imported."""

from persistence.database.models.audit import AuditEntry
from persistence.database.models.base import TableModel
from persistence.database.models.brokers import BrokerAccount, BrokerLoginCode
from persistence.database.models.kept_answers import KeptAnswer
from persistence.database.models.notifications import (
    Notification,
    NotificationChannel,
    NotificationDelivery,
    NotificationPreferences,
)
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.panics import Panic
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.telegram import (
    TelegramCode,
    TelegramConfirmation,
    TelegramPoller,
    TelegramUpdate,
)
from persistence.database.models.trading_day.readiness import FoundReadiness, OperatorFault
from persistence.database.models.trading_day.schedules import Schedule, ScheduleDay
from persistence.database.models.users import Invitation, Login, RefreshToken, User

TABLES: tuple[type[TableModel], ...] = (
    User,
    Invitation,
    Login,
    RefreshToken,
    BrokerAccount,
    BrokerLoginCode,
    Strategy,
    Run,
    Intent,
    OrderLog,
    AuditEntry,
    KeptAnswer,
    Panic,
    Notification,
    NotificationPreferences,
    NotificationChannel,
    NotificationDelivery,
    Schedule,
    ScheduleDay,
    FoundReadiness,
    OperatorFault,
    TelegramCode,
    TelegramConfirmation,
    TelegramPoller,
    TelegramUpdate,
)

METADATA = TableModel.metadata
