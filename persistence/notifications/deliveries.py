"""The outbox as senders see it: notices become deliveries, each is leased to one sender at a time.

Any number of processes may send. Rows that another transaction holds are skipped, and a delivery that was leased is
no other sender's until its lease ends; a sender that died before it settled it may have sent it, so that it may arrive
twice after a crash, never otherwise. Times are those of the database's clock.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import and_, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from actors.domain.notices.bundles import BUNDLED_WITHIN
from actors.domain.notices.notice import Notice, NoticeKind
from persistence.database.models.notifications import (
    Notification,
    NotificationChannel,
    NotificationDelivery,
    NotificationPreferences,
)
from persistence.database.repositories.notifications import tell

LEASE = timedelta(seconds=90)
"""How long a sender has for a delivery. No attempt takes as long."""

WORTH_SENDING = timedelta(hours=24)
"""How old a notice may be to be sent, and how long it is tried: later it is only in the inbox."""

MOST_FAILURES = 20
"""How many attempts in a row may fail before a channel is taken for one that does not work."""

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=10)
"""How long a sender waits after an attempt that failed: twice as long each time."""

Plan = Callable[[Notification, NotificationChannel, NotificationPreferences | None, datetime], "Planned | None"]
"""When and how a notice is to be sent to a channel of its user; None: not at all."""

NAMES: Mapping[str, str] = MappingProxyType(
    {"email": "e-mail", "webpush": "browser", "telegram": "Telegram", "apprise": "other service"}
)
"""What users call the kinds of channels."""

_D = NotificationDelivery


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery that is to be made. `may_wait`: with others of the channel, in one message."""

    due_at: datetime
    silent: bool
    may_wait: bool = False


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery that this sender has until `until`, with what it needs to send it."""

    delivery_id: int
    until: datetime
    attempts: int
    silent: bool
    may_wait: bool
    notification: Notification
    channel: NotificationChannel
    preferences: NotificationPreferences | None


def pause_after(attempts: int) -> timedelta:
    """How long until the next attempt, after this many."""
    doubled: int = 2 ** min(max(attempts - 1, 0), 16)
    return min(FIRST_PAUSE * doubled, LONGEST_PAUSE)


async def hand_over(session: AsyncSession, plan: Plan, limit: int) -> int:
    """Make out the deliveries of some notices that have none yet; how many notices there were."""
    waiting = select(Notification).where(col(Notification.handed_over_at).is_(None)).order_by(col(Notification.id))
    notices = (await session.scalars(waiting.limit(limit).with_for_update(skip_locked=True))).all()
    if not notices:
        return 0
    now = await database_now(session)
    users = {notice.user_id for notice in notices}
    for notice, channel, preferences in await _pairs(session, notices, users):
        planned = plan(notice, channel, preferences, now) if notice.at > now - WORTH_SENDING else None
        if planned is not None:
            await add(session, notice, channel, planned)
    done = update(Notification).where(col(Notification.id).in_([notice.id for notice in notices]))
    await session.execute(done.values(handed_over_at=func.now()), execution_options={"synchronize_session": False})
    return len(notices)


async def database_now(session: AsyncSession) -> datetime:
    """The instant by the database's clock."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now


async def add(session: AsyncSession, notice: Notification, channel: NotificationChannel, planned: Planned) -> None:
    """Make out one delivery."""
    facts = {"due_at": planned.due_at, "silent": planned.silent, "may_wait": planned.may_wait}
    await session.execute(
        insert(_D).values(notification_id=notice.id, channel_id=channel.id, user_id=notice.user_id, **facts)
    )


async def _pairs(
    session: AsyncSession, notices: Sequence[Notification], users: set[int]
) -> list[tuple[Notification, NotificationChannel, NotificationPreferences | None]]:
    wanted = (
        select(NotificationChannel, NotificationPreferences)
        .outerjoin(NotificationPreferences, col(NotificationPreferences.user_id) == col(NotificationChannel.user_id))
        .where(col(NotificationChannel.user_id).in_(users), col(NotificationChannel.state) == "active")
        .with_for_update(of=NotificationChannel, read=True, key_share=True)  # none is removed in between
    )
    channels = (await session.execute(wanted)).all()
    return [(n, c, p) for n in notices for c, p in channels if c.user_id == n.user_id]


async def lease(session: AsyncSession, kinds: Collection[str], limit: int) -> list[Leased]:
    """Take some deliveries to channels of these kinds, the first due first; none that another sender has.

    Those that may wait come as soon as the first of their channel is due, so that they go in one message.
    """
    ours = select(col(NotificationChannel.id)).where(col(NotificationChannel.kind).in_(kinds))
    free = or_(col(_D.leased_until).is_(None), col(_D.leased_until) < func.clock_timestamp())
    is_due = col(_D.due_at) <= func.clock_timestamp()
    begun = select(col(_D.channel_id)).where(col(_D.outcome).is_(None), is_due, free, col(_D.may_wait))
    soon = col(_D.due_at) <= func.clock_timestamp() + literal(BUNDLED_WITHIN)
    with_it = and_(col(_D.may_wait), soon, col(_D.channel_id).in_(begun))
    due = (
        select(col(_D.id))
        .where(col(_D.outcome).is_(None), or_(is_due, with_it), free, col(_D.channel_id).in_(ours))
        .order_by(col(_D.due_at), col(_D.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(_D)
        .where(col(_D.id).in_(due))
        .values(leased_until=func.clock_timestamp() + literal(LEASE), attempts=col(_D.attempts) + 1)
        .returning(_D)
    )
    rows = {row.id: row for row in await session.scalars(taken, execution_options={"populate_existing": True})}
    if not rows:
        return []
    parts = (
        select(col(_D.id), Notification, NotificationChannel, NotificationPreferences)
        .join(Notification, col(Notification.id) == col(_D.notification_id))
        .join(NotificationChannel, col(NotificationChannel.id) == col(_D.channel_id))
        .outerjoin(NotificationPreferences, col(NotificationPreferences.user_id) == col(_D.user_id))
        .where(col(_D.id).in_(rows))
    )
    found = []
    for delivery_id, notice, channel, preferences in (await session.execute(parts)).all():
        row = rows[delivery_id]
        if row.leased_until is not None:  # it was set just now
            found.append(
                Leased(row.id, row.leased_until, row.attempts, row.silent, row.may_wait, notice, channel, preferences)
            )
    return sorted(found, key=lambda leased: leased.notification.id)


async def settle(session: AsyncSession, leased: Leased, outcome: str, reason: str | None = None) -> None:
    """The delivery is done, unless its lease was another's by then."""
    await _lock_channel(session, leased)
    mine = and_(col(_D.id) == leased.delivery_id, col(_D.leased_until) == leased.until)
    done = update(_D).where(mine).values(outcome=outcome, settled_at=func.now(), reason=reason, leased_until=None)
    if await session.scalar(done.returning(col(_D.id))) is not None and outcome == "sent":
        works = update(NotificationChannel).where(col(NotificationChannel.id) == leased.channel.id)
        await session.execute(works.values(failures=0, last_failure=None))


async def _lock_channel(session: AsyncSession, leased: Leased) -> None:
    """Before the delivery, as a user does who removes the channel at this moment: the other way round is a deadlock."""
    channel = select(col(NotificationChannel.id)).where(col(NotificationChannel.id) == leased.channel.id)
    await session.execute(channel.with_for_update(key_share=True))


async def try_again(session: AsyncSession, leased: Leased, reason: str, after: timedelta) -> None:
    """The attempt failed: another is due later, unless the notice will be too old by then."""
    await _lock_channel(session, leased)
    mine = and_(col(_D.id) == leased.delivery_id, col(_D.leased_until) == leased.until)
    too_old = leased.notification.recorded_at + WORTH_SENDING < await database_now(session) + after
    if too_old:
        await settle(session, leased, "expired", reason)
    else:
        again = (
            update(_D)
            .where(mine)
            .values(due_at=func.clock_timestamp() + literal(after), leased_until=None, reason=reason)
        )
        await session.execute(again)


async def count_failure(session: AsyncSession, channel: NotificationChannel, reason: str) -> None:
    """An attempt has failed; after `MOST_FAILURES` in a row the channel is taken for one that does not work."""
    failing = update(NotificationChannel).where(col(NotificationChannel.id) == channel.id)
    failures = await session.scalar(
        failing.values(failures=col(NotificationChannel.failures) + 1, last_failure=reason).returning(
            col(NotificationChannel.failures)
        )
    )
    if failures is not None and failures >= MOST_FAILURES:
        await give_up(session, channel, reason)


async def give_up(session: AsyncSession, channel: NotificationChannel, reason: str) -> None:
    """Take a channel for one that does not work, and tell its user by the inbox and by the channels that do."""
    failing = update(NotificationChannel).where(
        col(NotificationChannel.id) == channel.id, col(NotificationChannel.state) == "active"
    )
    ended = failing.values(state="failed", last_failure=reason).returning(col(NotificationChannel.id))
    if await session.scalar(ended) is None:
        return
    now = await database_now(session)
    text = (
        f"Notices do not reach you any more at {channel.hint} ({NAMES[channel.kind]}): {reason}. "
        "Once that is mended, send a test to it in the app."
    )
    key = f"channel:{channel.id}:failed:{now.timestamp():.6f}"
    await tell(session, channel.user_id, Notice(kind=NoticeKind.SECURITY, key=key, text=text, at=now))
