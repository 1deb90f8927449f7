"""The sender on a real database, mail server and push service: each notice once, tried again, never twice (row N1)."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, text, update
from sqlmodel import col

from actors.domain.notices.notice import Notice, NoticeKind
from api.notifications.sending.addresses import hash_of, seal
from api.notifications.sending.mail import Mailer
from api.notifications.sending.outcomes import Address, Message, NotSent, Refused, Way
from api.notifications.sending.push_encryption import Vapid, encode
from api.notifications.sending.sender import Sender
from api.notifications.sending.web_push import PushSender
from config.settings import Settings, load_settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.notifications import NotificationChannel, NotificationDelivery
from persistence.database.repositories.notifications import Notifications, tell
from persistence.notifications import deliveries
from persistence.notifications.channels import Channels
from persistence.notifications.deliveries import LONGEST_PAUSE, MOST_FAILURES, pause_after
from persistence.secrets.encryption import SecretBox, generate_key
from tests.integration.persistence.database.new_database import migrated_database
from tests.integration.rows import new_user
from tests.kit.mail_server import MailServer, mail_server
from tests.kit.push_service import HOST, Browser, PushService, push_service

pytest_plugins = ["tests.integration.fixtures"]

BOX = SecretBox.from_texts([generate_key()])
KEY = encode(bytes(31) + b"\7")


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def pushes(tmp_path: Path) -> Iterator[PushService]:
    with push_service(tmp_path) as service:
        yield service


@pytest.fixture
async def own(postgres_url: str) -> AsyncIterator[Sessions]:
    """A database whose outbox is this test's alone."""
    async with migrated_database(postgres_url) as sessions:
        yield sessions


def mailer(server: MailServer, **changes: Any) -> Mailer:
    mail: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"}
    return Mailer(Settings(_env_file=None, **(mail | {"smtp_from": "alerts@example.com"} | changes)), public)


async def public(_host: str, _port: int) -> list[str]:
    return ["8.8.8.8"]


def pusher(service: PushService) -> PushSender:
    vapid = Vapid(KEY, "https://api.example.com")
    client = httpx.AsyncClient(verify=service.trust, trust_env=False)
    return PushSender(vapid, lambda: datetime.now(UTC), service.addresses, client)


def sender(sessions: Sessions, **ways: Way) -> Sender:
    return Sender(sessions, BOX, ways, load_settings(env_file=None, secrets="optional").zone)


async def channel_of(sessions: Sessions, kind: str = "email", **keys: str) -> NotificationChannel:
    """A verified channel of a new user."""
    user = await new_user(sessions)
    address = Address(keys.pop("value", f"{secrets.token_hex(4)}@example.com"), keys)
    sealed = seal(BOX, user.id, address)
    async with transaction(sessions) as session:
        return await Channels(session).put(
            user.id,
            {
                "kind": kind, "hint": "x", "address_box": sealed.box, "key_version": sealed.key_version,
                "address_hash": hash_of(address.value), "state": "active", "verified_at": datetime.now(UTC),
            },
        )  # fmt: skip


async def say(sessions: Sessions, user_id: int, kind: NoticeKind = NoticeKind.PANIC, **facts: Any) -> None:
    key = secrets.token_hex(8)
    notice = Notice(kind=kind, key=key, text="Sold 10 INFY at ₹1,499.20.", at=datetime.now(UTC))
    async with transaction(sessions) as session:
        assert await tell(session, user_id, replace(notice, **facts))


async def states(sessions: Sessions) -> list[tuple[str | None, int, str | None]]:
    async with transaction(sessions) as session:
        rows = await session.scalars(select(NotificationDelivery).order_by(col(NotificationDelivery.id)))
        return [(row.outcome, row.attempts, row.reason) for row in rows]


async def make_due(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        await session.execute(update(NotificationDelivery).values(due_at=text("now()")))


async def test_a_notice_is_mailed_once_without_amounts(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own, value="asha@example.com")
    await say(own, channel.user_id)
    one = sender(own, email=mailer(mails))
    for _ in range(3):
        await one.step()
    ((recipients, mail),) = mails.mails
    assert recipients == ["asha@example.com"]
    assert mail["Subject"].startswith("TradeActors: Sold 10 INFY at")
    assert mails.text() == "Sold 10 INFY at ₹….\r\n"
    assert await states(own) == [("sent", 1, None)]


async def test_amounts_are_shown_to_who_wants_them(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    async with transaction(own) as session:
        await Notifications(session).set_preferences(channel.user_id, None, {}, amounts=True)
    await say(own, channel.user_id)
    await sender(own, email=mailer(mails)).step()
    assert mails.text() == "Sold 10 INFY at ₹1,499.20.\r\n"


async def test_many_senders_send_each_notice_once(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    for _ in range(30):
        await say(own, channel.user_id)
    senders = [sender(own, email=mailer(mails)) for _ in range(4)]
    for _ in range(4):
        await asyncio.gather(*(one.step() for one in senders))
    assert len(mails.mails) == 30
    assert len({mail["Message-ID"] for _, mail in mails.mails}) == 30


async def test_a_process_without_a_way_leaves_its_notices_to_others(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    await say(own, channel.user_id)
    await sender(own).step()
    await sender(own, email=mailer(mails)).step()
    assert await states(own) == [("sent", 1, None)]


async def test_what_a_sender_holds_no_other_takes_before_its_lease_ends(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    await say(own, channel.user_id)
    one = sender(own, email=mailer(mails))
    async with transaction(own) as session:
        await deliveries.hand_over(session, one._plan, 10)
    async with transaction(own) as session:
        (held,) = await deliveries.lease(session, ["email"], 10)
    await one.step()
    assert mails.mails == []
    async with transaction(own) as session:
        await session.execute(update(NotificationDelivery).values(leased_until=text("now() - interval '1 s'")))
    await one.step()
    assert len(mails.mails) == 1, "a sender that died is replaced"
    async with transaction(own) as session:
        await deliveries.try_again(session, held, "late", timedelta(seconds=1))
    assert (await states(own))[0][0] == "sent", "what the first one says then counts no longer"


async def test_a_mail_server_that_is_down_is_tried_again(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    await say(own, channel.user_id)
    await sender(own, email=mailer(mails, smtp_port=1)).step()
    await sender(own, email=mailer(mails)).step()
    assert mails.mails == [], "not before its time"
    await make_due(own)
    await sender(own, email=mailer(mails)).step()
    assert len(mails.mails) == 1
    assert await states(own) == [("sent", 2, None)]


async def test_a_recipient_that_is_refused_for_good_is_not_tried_again(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    mails.answers = ["451 Later", "550 No such user"]
    await say(own, channel.user_id)
    one = sender(own, email=mailer(mails))
    for _ in range(4):
        await one.step()
        await make_due(own)
    assert await states(own) == [("failed", 2, "the mail server refuses the recipient (550)")]
    assert mails.mails == []


async def test_a_channel_that_fails_again_and_again_is_given_up(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    mails.answers = ["550 No such user"] * MOST_FAILURES
    for _ in range(MOST_FAILURES + 2):
        await say(own, channel.user_id)
        await sender(own, email=mailer(mails)).step()
    async with transaction(own) as session:
        kept = await Channels(session).get(channel.user_id, channel.id)
    assert kept is not None
    assert (kept.state, kept.last_failure) == ("failed", "the mail server refuses the recipient (550)")
    assert mails.mails == [], "nothing more goes there"


async def test_quiet_hours_hold_back_what_is_no_risk(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    now = datetime.now(load_settings(env_file=None, secrets="optional").zone)
    quiet = ((now - timedelta(hours=2)).time(), (now + timedelta(hours=2)).time())
    async with transaction(own) as session:
        await Notifications(session).set_preferences(channel.user_id, quiet, {}, amounts=False)
    await say(own, channel.user_id, NoticeKind.FILL_ENTRY)
    await say(own, channel.user_id, NoticeKind.GUARD_LOST, text="At risk")
    await sender(own, email=mailer(mails)).step()
    assert [mail["Subject"] for _, mail in mails.mails] == ["TradeActors: At risk"]
    await make_due(own)
    await sender(own, email=mailer(mails)).step()
    assert len(mails.mails) == 2


async def test_what_is_off_or_old_or_for_nobody_is_not_sent(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    async with transaction(own) as session:
        await Notifications(session).set_preferences(
            channel.user_id, (time(0), time(0, 1)), {"fill_entry": "off"}, amounts=False
        )
    await say(own, channel.user_id, NoticeKind.FILL_ENTRY)
    await say(own, channel.user_id, at=datetime.now(UTC) - timedelta(days=2))
    await say(own, (await new_user(own)).id)
    await sender(own, email=mailer(mails)).step()
    assert (mails.mails, await states(own)) == ([], [])


async def test_a_domain_that_leads_into_our_network_gets_no_mail(mails: MailServer) -> None:
    async def private(_host: str, _port: int) -> list[str]:
        return ["10.0.0.1"]

    mail = Settings(_env_file=None, smtp_host="127.0.0.1", smtp_port=mails.port, smtp_from="a@example.com",
                    smtp_security="none")  # fmt: skip
    for address, lookup in (("asha@inside.example.com", private), ("asha@[127.0.0.1]", public)):
        with pytest.raises(Refused):
            await Mailer(mail, lookup).send(Address(address), Message("n", "t"))
    assert mails.mails == []


async def test_no_mail_leaves_without_encryption_where_it_is_wanted(mails: MailServer) -> None:
    with pytest.raises(NotSent):
        await mailer(mails, smtp_security="starttls").send(Address("a@example.com"), Message("n", "t"))
    assert mails.mails == []


async def test_a_browser_gets_what_only_it_can_read(own: Sessions, pushes: PushService) -> None:
    browser = Browser()
    channel = await channel_of(own, "webpush", value=pushes.endpoint, **browser.keys)
    await say(own, channel.user_id)
    await sender(own, webpush=pusher(pushes)).step()
    ((path, headers, body),) = pushes.got
    assert path == "/wpush/v2/abc?x=1"
    assert (headers["Host"], headers["Urgency"]) == (f"{HOST}:{pushes.port}", "high")
    assert headers["Authorization"].startswith("vapid t=")
    read = browser.read(body)
    assert (read["body"], read["silent"]) == ("Sold 10 INFY at ₹….", False)
    assert await states(own) == [("sent", 1, None)]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_has_ended_is_forgotten(own: Sessions, pushes: PushService, status: int) -> None:
    channel = await channel_of(own, "webpush", value=pushes.endpoint, **Browser().keys)
    pushes.answers = [(status, {})]
    await say(own, channel.user_id)
    await sender(own, webpush=pusher(pushes)).step()
    async with transaction(own) as session:
        assert await Channels(session).get(channel.user_id, channel.id) is None
    assert await states(own) == []


async def test_a_push_service_says_when_to_come_back(own: Sessions, pushes: PushService) -> None:
    channel = await channel_of(own, "webpush", value=pushes.endpoint, **Browser().keys)
    pushes.answers = [(429, {"Retry-After": "600"})]
    await say(own, channel.user_id)
    await sender(own, webpush=pusher(pushes)).step()
    async with transaction(own) as session:
        due = await session.scalar(text("SELECT due_at - now() FROM notification_deliveries"))
    assert timedelta(minutes=9) < due <= timedelta(minutes=10)


async def test_a_redirect_of_a_push_service_is_not_followed(pushes: PushService) -> None:
    pushes.answers = [(307, {"Location": "https://169.254.169.254/"})]
    with pytest.raises(Refused):
        await pusher(pushes).send(Address(pushes.endpoint, Browser().keys), Message("n", "t"))
    assert len(pushes.got) == 1


async def test_an_endpoint_that_leads_into_our_network_is_not_asked(pushes: PushService) -> None:
    guarded = PushSender(Vapid(KEY, "https://api.example.com"), lambda: datetime.now(UTC))
    for host in ("127.0.0.1", "localhost", "[::1]"):
        with pytest.raises((Refused, NotSent)):
            await guarded.send(Address(f"https://{host}:{pushes.port}/x", Browser().keys), Message("n", "t"))
    assert pushes.got == []
    await guarded.aclose()


async def test_another_ones_certificate_is_not_taken_for_a_push_service(pushes: PushService) -> None:
    distrusting = PushSender(Vapid(KEY, "https://api.example.com"), lambda: datetime.now(UTC), pushes.addresses)
    with pytest.raises(NotSent):
        await distrusting.send(Address(pushes.endpoint, Browser().keys), Message("n", "t"))
    assert pushes.got == []
    await distrusting.aclose()


def test_pauses_grow_up_to_ten_minutes() -> None:
    pauses = [pause_after(attempts) for attempts in range(1, 200)]
    assert pauses[:3] == [timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=8)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


def test_secrets_of_mail_and_push_are_in_no_text_of_the_settings() -> None:
    kept = Settings(_env_file=None, smtp_host="x", smtp_from="a@b.in", smtp_user="u",
                    smtp_password=SecretStr("hidden-password"), vapid_private_key=SecretStr(KEY))  # fmt: skip
    shown = f"{kept!r} {kept.environment()}"
    assert "hidden-password" not in shown
    assert KEY not in shown


async def test_notices_within_seconds_are_one_message(own: Sessions, mails: MailServer) -> None:
    channel = await channel_of(own)
    one = sender(own, email=mailer(mails))
    for kind, words in ((NoticeKind.EXIT_TIME, "Sold 10 INFY."), (NoticeKind.NOT_BOUGHT, "NOT bought: TCS.")):
        await say(own, channel.user_id, kind, text=words)
        await one.step()
    await say(own, channel.user_id, NoticeKind.EXIT_TROUBLE, text="OPEN and not sold: 5 SBIN.")
    await one.step()
    assert [mails.text()] == ["OPEN and not sold: 5 SBIN.\r\n"], "what money may depend on does not wait"
    await end_quiet_hours(own)
    async with transaction(own) as session:
        first = select(col(NotificationDelivery.id)).order_by(col(NotificationDelivery.id)).limit(1).scalar_subquery()
        await session.execute(
            update(NotificationDelivery).where(col(NotificationDelivery.id) == first).values(due_at=text("now()"))
        )
    await one.step()
    assert mails.text() == "Sold 10 INFY.\r\nNOT bought: TCS.\r\n", "the second goes with the first, which is due"
    assert len(mails.mails) == 2
    assert [outcome for outcome, _, _ in await states(own)] == ["sent"] * 3


async def test_a_bundle_that_is_not_taken_is_tried_again_as_one_and_counts_once(
    own: Sessions, mails: MailServer
) -> None:
    channel = await channel_of(own)
    one = sender(own, email=mailer(mails))
    for number in range(7):
        await say(own, channel.user_id, NoticeKind.EXIT_TIME, text=f"Sold {number} INFY.")
    await one.step()
    mails.answers = ["451 try later"]
    await make_due(own)
    await one.step()
    async with transaction(own) as session:
        stored = await Channels(session).get(channel.user_id, channel.id)
        assert stored is not None
        assert stored.failures == 1
    await make_due(own)
    await one.step()
    assert mails.text() == "7 sales at their time: the inbox has each.\r\n"
    assert [outcome for outcome, _, _ in await states(own)] == ["sent"] * 7


async def end_quiet_hours(sessions: Sessions) -> None:
    """What waits for the end of quiet hours, if there are any just now, waits for two seconds."""
    async with transaction(sessions) as session:
        soon = text("least(due_at, now() + interval '2 seconds')")
        await session.execute(update(NotificationDelivery).values(due_at=soon))


class FirstIsSlow:
    """A way on which the first message takes longer than those after it."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.sent: list[str] = []

    async def send(self, _address: Address, message: Message) -> None:
        self.begun.append(message.text)
        await asyncio.sleep(0.3 if len(self.begun) == 1 else 0)
        self.sent.append(message.text)


async def test_a_channel_has_the_earlier_notice_first(own: Sessions) -> None:
    channel, way = await channel_of(own), FirstIsSlow()
    notices = ["PANIC: everything is being sold.", "PANIC is done. All is flat."]
    for notice in notices:
        await say(own, channel.user_id, text=notice)
    await sender(own, email=way).step()
    assert way.sent == notices
    assert [outcome for outcome, _, _ in await states(own)] == ["sent", "sent"]
