"""The sender: takes notices out of the outbox and sends them, with retries, beside the requests of this process.

Each API process has one, and no notice is sent by two: see `persistence.notifications.deliveries`. The actors know
nothing of it and never wait for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from actors.domain.notices.bundles import BUNDLED_WITHIN, bundled, may_wait
from actors.domain.notices.notice import AT_RISK, Level, NoticeKind
from actors.domain.notices.quiet_hours import send_at
from api.notifications.sending.addresses import unseal
from api.notifications.sending.outcomes import ChannelBlocked, ChannelGone, Message, NotSent, Refused, Way
from api.notifications.sending.preferences import preferences_of
from persistence.database.engine import Sessions, transaction
from persistence.database.models.notifications import Notification, NotificationChannel, NotificationPreferences
from persistence.errors import PersistenceError, UnreadableSecret
from persistence.notifications import deliveries
from persistence.notifications.channels import Channels
from persistence.notifications.deliveries import Leased, Planned, pause_after
from persistence.secrets.encryption import SecretBox

log = structlog.stdlib.get_logger(__name__)

EVERY_S = 1.0
"""How often an idle sender looks. A notice is on its way that soon after its fact."""

AT_A_TIME = 20
"""How many deliveries a sender has leased at a time; those of different channels are sent at once."""

LONGEST_SEND_S = 30.0
"""How long one attempt may take, far below the lease."""


class Sender:
    """One process's sender. A way that is not there leaves its channels' deliveries for processes that have it."""

    def __init__(
        self,
        sessions: Sessions,
        box: SecretBox,
        ways: Mapping[str, Way],
        zone: tzinfo,
        every_s: float = EVERY_S,
        bundled_within: timedelta = BUNDLED_WITHIN,
    ) -> None:
        self._sessions, self._box, self._ways, self._zone, self._every_s = sessions, box, ways, zone, every_s
        self._bundled_within = bundled_within

    async def run(self) -> None:
        """Send until cancelled, at first after a pause: a process that starts has more urgent things to do."""
        busy = False
        while True:
            if not busy:
                await asyncio.sleep(self._every_s)
            try:
                busy = await self.step()
            except PersistenceError as error:
                log.warning("sender_waits", error=type(error).__name__)
                busy = False

    async def step(self) -> bool:
        """Hand over and send what is due now; whether there may be more."""
        async with transaction(self._sessions) as session:
            handed_over = await deliveries.hand_over(session, self._plan, AT_A_TIME)
        async with transaction(self._sessions) as session:
            leased = await deliveries.lease(session, self._ways.keys(), AT_A_TIME)
        for result in await asyncio.gather(*map(self._send_in_turn, _by_channel(leased)), return_exceptions=True):
            if isinstance(result, Exception):  # a fault of ours, or the database: its lease ends, and it is tried again
                log.error("notice_not_settled", exc_info=result)
            elif result is not None:
                raise result
        return AT_A_TIME in {handed_over, len(leased)}

    def _plan(
        self,
        notice: Notification,
        channel: NotificationChannel,
        chosen: NotificationPreferences | None,
        now: datetime,
    ) -> Planned | None:
        wanted = preferences_of(chosen)
        kind = kind_of(notice)
        level = wanted.level(kind)
        muted = channel.muted_until is not None and channel.muted_until > now and kind not in AT_RISK
        if level is Level.OFF or muted:
            return None
        at, waits = send_at(kind, now, wanted.quiet, self._zone), may_wait(kind)
        return Planned(max(at, now + self._bundled_within) if waits else at, level is Level.SILENT, waits)

    async def _send_in_turn(self, bundles: Sequence[Sequence[Leased]]) -> None:
        """Those of one channel, the earlier notice first: that everything is sold must not come before that it is being
        sold. What a slow channel leaves no time for is for the next step."""
        until = asyncio.get_running_loop().time() + LONGEST_SEND_S
        for bundle in bundles:
            if asyncio.get_running_loop().time() < until:
                await self._send(bundle)
                continue
            async with transaction(self._sessions) as session:
                for leased in bundle:
                    await deliveries.try_again(session, leased, "its channel is slow", timedelta())

    async def _send(self, bundle: Sequence[Leased]) -> None:
        """One attempt to send what goes in one message. What it has come to is recorded, whatever it is."""
        channel, attempts = bundle[0].channel, max(leased.attempts for leased in bundle)
        about = {"channel_id": channel.id, "kind": channel.kind, "attempts": attempts, "notices": len(bundle)}
        try:
            async with asyncio.timeout(LONGEST_SEND_S):
                await self._attempt(bundle)
        except ChannelGone:
            async with transaction(self._sessions) as session:
                await Channels(session).remove(channel.user_id, channel.id)
            log.info("channel_ended", **about)
        except Refused as refusal:
            log.warning("notice_refused", reason=refusal.reason, **about)
            async with transaction(self._sessions) as session:
                await self._settle(session, bundle, "failed", refusal.reason)
                await deliveries.count_failure(session, channel, refusal.reason)
        except ChannelBlocked as refusal:
            log.info("channel_blocked", **about)
            async with transaction(self._sessions) as session:
                await self._settle(session, bundle, "failed", refusal.reason)
                await deliveries.give_up(session, channel, refusal.reason)
        except (NotSent, TimeoutError) as failure:
            told = failure if isinstance(failure, NotSent) else NotSent("it took too long")
            pause = max(pause_after(attempts), told.wait or timedelta())
            async with transaction(self._sessions) as session:
                for leased in bundle:
                    await deliveries.try_again(session, leased, told.reason, pause)
                if told.at_fault:
                    await deliveries.count_failure(session, channel, told.reason)
        else:
            async with transaction(self._sessions) as session:
                await self._settle(session, bundle, "sent")

    async def _settle(
        self, session: AsyncSession, bundle: Sequence[Leased], outcome: str, reason: str | None = None
    ) -> None:
        for leased in bundle:
            await deliveries.settle(session, leased, outcome, reason)

    async def _attempt(self, bundle: Sequence[Leased]) -> None:
        way = self._ways[bundle[0].channel.kind]
        try:
            address = unseal(self._box, bundle[0].channel)
        except UnreadableSecret as error:
            raise Refused("no key at hand opens the address") from error
        await way.send(address, message_of(bundle))


def _by_channel(leased: Sequence[Leased]) -> list[list[list[Leased]]]:
    """The messages of each channel, in turn. All that may wait goes in one, and each other notice by itself."""
    channels: dict[int, dict[int, list[Leased]]] = {}
    for one in sorted(leased, key=lambda one: one.delivery_id):
        bundles = channels.setdefault(one.channel.id, {})
        bundles.setdefault(0 if one.may_wait else one.delivery_id, []).append(one)
    return [list(bundles.values()) for bundles in channels.values()]


def message_of(bundle: Sequence[Leased]) -> Message:
    """The message of notices that go together, as the user wants it to look."""
    first, last = bundle[0].notification, bundle[-1].notification
    amounts = preferences_of(bundle[0].preferences).amounts
    notices = [leased.notification for leased in bundle]
    strategies = {notice.strategy_id for notice in notices}
    return Message(
        name=f"notice-{bundle[0].delivery_id}",
        text=bundled([(kind_of(notice), notice.text if amounts else notice.brief) for notice in notices]),
        urgent=first.kind in AT_RISK,
        silent=all(leased.silent for leased in bundle),
        strategy_id=first.strategy_id if len(strategies) == 1 else None,
        notification_id=last.id,
    )


def kind_of(notice: Notification) -> NoticeKind:
    """The kind of a notice. One of a later version, which is being rolled out, is taken for one that matters."""
    try:
        return NoticeKind(notice.kind)
    except ValueError:
        return NoticeKind.SECURITY
