"""The sender: takes notices out of the outbox and sends them, with retries, beside the requests of this process.

Each API process has one, and no notice is sent by two: see `persistence.notifications.deliveries`. The actors know
nothing of it and never wait for it.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

import structlog

from actors.domain.notices.notice import AT_RISK, Level, NoticeKind
from actors.domain.notices.quiet_hours import send_at
from api.notifications.sending.addresses import unseal
from api.notifications.sending.outcomes import ChannelBlocked, ChannelGone, Message, NotSent, Refused, Way
from api.notifications.service import preferences_of
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
"""How many deliveries a sender has leased at a time, and sends at once."""

LONGEST_SEND_S = 30.0
"""How long one attempt may take, far below the lease."""


class Sender:
    """One process's sender. A way that is not there leaves its channels' deliveries for processes that have it."""

    def __init__(
        self, sessions: Sessions, box: SecretBox, ways: Mapping[str, Way], zone: tzinfo, every_s: float = EVERY_S
    ) -> None:
        self._sessions, self._box, self._ways, self._zone, self._every_s = sessions, box, ways, zone, every_s

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
        for result in await asyncio.gather(*map(self._send, leased), return_exceptions=True):
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
        try:
            kind = NoticeKind(notice.kind)
        except ValueError:  # of a later version, which is being rolled out
            kind = NoticeKind.SECURITY
        level = wanted.level(kind)
        muted = channel.muted_until is not None and channel.muted_until > now and kind not in AT_RISK
        if level is Level.OFF or muted:
            return None
        return Planned(send_at(kind, now, wanted.quiet, self._zone), level is Level.SILENT)

    async def _send(self, leased: Leased) -> None:
        """One attempt. What it has come to is recorded, whatever it is."""
        about = {"channel_id": leased.channel.id, "kind": leased.channel.kind, "attempts": leased.attempts}
        try:
            async with asyncio.timeout(LONGEST_SEND_S):
                await self._attempt(leased)
        except ChannelGone:
            async with transaction(self._sessions) as session:
                await Channels(session).remove(leased.channel.user_id, leased.channel.id)
            log.info("channel_ended", **about)
        except Refused as refusal:
            log.warning("notice_refused", reason=refusal.reason, **about)
            async with transaction(self._sessions) as session:
                await deliveries.settle(session, leased, "failed", refusal.reason)
                await deliveries.count_failure(session, leased.channel, refusal.reason)
        except ChannelBlocked as refusal:
            log.info("channel_blocked", **about)
            async with transaction(self._sessions) as session:
                await deliveries.settle(session, leased, "failed", refusal.reason)
                await deliveries.give_up(session, leased.channel, refusal.reason)
        except (NotSent, TimeoutError) as failure:
            told = failure if isinstance(failure, NotSent) else NotSent("it took too long")
            pause = max(pause_after(leased.attempts), told.wait or timedelta())
            async with transaction(self._sessions) as session:
                await deliveries.try_again(session, leased, told.reason, pause, at_fault=told.at_fault)
        else:
            async with transaction(self._sessions) as session:
                await deliveries.settle(session, leased, "sent")

    async def _attempt(self, leased: Leased) -> None:
        way = self._ways[leased.channel.kind]
        try:
            address = unseal(self._box, leased.channel)
        except UnreadableSecret as error:
            raise Refused("no key at hand opens the address") from error
        notice = leased.notification
        shown = notice.text if preferences_of(leased.preferences).amounts else notice.brief
        message = Message(
            name=f"notice-{leased.delivery_id}",
            text=shown,
            urgent=notice.kind in AT_RISK,
            silent=leased.silent,
            strategy_id=notice.strategy_id,
            notification_id=notice.id,
        )
        await way.send(address, message)
