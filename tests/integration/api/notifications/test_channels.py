"""Channels over REST: an address is of use once its owner has answered, and no user sees another's (row N1)."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from api.app import create_app
from api.notifications.sending.push_encryption import encode
from config.settings import Settings, SettingsError
from persistence.database.engine import Sessions, transaction
from persistence.secrets.encryption import generate_key
from persistence.secrets.key_rotation import rotate_keys
from tests.integration.api_user import ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.mail_server import MailServer, mail_server
from tests.kit.push_service import Browser

pytest_plugins = ["tests.integration.fixtures"]

NEWS = "https://8.8.8.8/wpush/"
CHANNELS = "/notifications/channels"


@pytest.fixture(scope="module")
def mails() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def offering(settings: Settings, mails: MailServer) -> Settings:
    """Settings with mail and push."""
    return settings.model_copy(
        update={
            "smtp_host": "127.0.0.1", "smtp_port": mails.port, "smtp_security": "none",
            "smtp_from": "alerts@example.com", "vapid_private_key": SecretStr(encode(bytes(31) + b"\7")),
        }
    )  # fmt: skip


@pytest.fixture
async def api(offering: Settings, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(offering, engine) as client:
        yield client


@pytest.fixture
async def asha(api: httpx.AsyncClient) -> ApiUser:
    return await ApiUser.register(api)


def code_in(mails: MailServer) -> str:
    found = re.search(r"\d{8}", mails.text())
    assert found is not None
    return found[0]


async def until_tested(mails: MailServer, user: ApiUser) -> None:
    """Wait for the mail of a test."""
    async with asyncio.timeout(30):
        while mails.mails[-1][0] != [user.email] or "This is a test" not in mails.text():  # noqa: ASYNC110 - no one says
            await asyncio.sleep(0.05)


async def entry(user: ApiUser) -> dict[str, Any]:
    ((only),) = (await user.call("GET", CHANNELS)).json()["channels"]
    return dict(only)


async def added(user: ApiUser) -> int:
    answer = await user.call("POST", CHANNELS, kind="email", address=user.email)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["channel_id"])


async def test_an_address_is_of_use_once_its_code_was_given(
    asha: ApiUser, mails: MailServer, sessions: Sessions
) -> None:
    channel_id = await added(asha)
    assert (await entry(asha))["state"] == "unverified"
    assert (await asha.call("POST", f"{CHANNELS}/{channel_id}/test")).json()["code"] == "channel_not_verified"
    code = code_in(mails)
    wrong = await asha.call("POST", f"{CHANNELS}/{channel_id}/verify", code=f"{(int(code) + 1) % 10**8:08}")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "code_invalid")
    right = await asha.call("POST", f"{CHANNELS}/{channel_id}/verify", code=f" {code[:4]} {code[4:]}")
    assert (right.status_code, right.json()["state"]) == (200, "active")
    again = await asha.call("POST", f"{CHANNELS}/{channel_id}/verify", code=code)
    assert again.json()["code"] == "code_invalid", "a code is good once"
    sent = len(mails.mails)
    assert await added(asha) == channel_id
    assert ((await entry(asha))["state"], len(mails.mails)) == ("active", sent), (
        "it stays verified, and no code is sent"
    )
    async with transaction(sessions) as session:
        boxes = await session.scalars(text("SELECT address_box FROM notification_channels"))
        assert all(asha.email.encode() not in box for box in boxes)
    assert asha.email not in (await asha.call("GET", CHANNELS)).text


async def test_guesses_end_with_the_fifth(asha: ApiUser, mails: MailServer) -> None:
    channel_id = await added(asha)
    code = code_in(mails)
    for guess in range(1, 6):
        await asha.call("POST", f"{CHANNELS}/{channel_id}/verify", code=f"{(int(code) + guess) % 10**8:08}")
    assert (await asha.call("POST", f"{CHANNELS}/{channel_id}/verify", code=code)).json()["code"] == "code_invalid"


async def test_a_code_ends(asha: ApiUser, mails: MailServer, sessions: Sessions) -> None:
    channel_id = await added(asha)
    async with transaction(sessions) as session:
        past = {"past": datetime.now(UTC) - timedelta(seconds=1), "id": channel_id}
        await session.execute(text("UPDATE notification_channels SET code_expires_at = :past WHERE id = :id"), past)
    answer = await asha.call("POST", f"{CHANNELS}/{channel_id}/verify", code=code_in(mails))
    assert answer.json()["code"] == "code_invalid"


async def test_codes_are_not_sent_without_limit(asha: ApiUser, api: httpx.AsyncClient) -> None:
    statuses = [
        (await asha.call("POST", CHANNELS, kind="email", address=f"{n}{asha.email}")).status_code for n in range(7)
    ]
    assert statuses == [201] * 5 + [429] * 2
    others = [await ApiUser.register(api) for _ in range(4)]
    victim = f"victim{asha.email}"
    statuses = [(await user.call("POST", CHANNELS, kind="email", address=victim)).status_code for user in others]
    assert statuses == [201] * 3 + [429], "whoever asks, one address gets few"


@pytest.mark.parametrize(
    "address", ["asha", "a@b.example.com\r\nBcc: c@example.com", "a@[10.0.0.1]", "a@localhost", "a@b, c@d"]
)
async def test_what_is_no_address_is_refused(asha: ApiUser, mails: MailServer, address: str) -> None:
    before = len(mails.mails)
    assert (await asha.call("POST", CHANNELS, kind="email", address=address)).status_code == 422
    assert len(mails.mails) == before


async def test_a_mail_server_that_is_away_says_so(offering: Settings, engine: FakeEngine) -> None:
    async with serving(offering, engine, smtp_port=1) as client:
        user = await ApiUser.register(client)
        answer = await user.call("POST", CHANNELS, kind="email", address=user.email)
        assert (answer.status_code, answer.json()["code"]) == (503, "mail_unavailable")


async def test_what_is_not_set_up_is_not_offered(client: httpx.AsyncClient) -> None:
    user = await ApiUser.register(client)
    keys = Browser().keys
    for answer in (
        await user.call("POST", CHANNELS, kind="email", address=user.email),
        await user.call("GET", "/push/key"),
        await user.call("POST", "/push/subscriptions", endpoint=NEWS, keys=keys),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "channel_not_offered")


async def test_a_test_reaches_one_channel(asha: ApiUser, mails: MailServer, app: FastAPI) -> None:
    channel_id = await added(asha)
    await asha.call("POST", f"{CHANNELS}/{channel_id}/verify", code=code_in(mails))
    answer = await asha.call("POST", f"{CHANNELS}/{channel_id}/test")
    assert answer.status_code == 202, answer.text
    await until_tested(mails, asha)
    (notice,) = (await asha.call("GET", "/notifications")).json()["notifications"]
    assert (notice["notification_id"], notice["kind"]) == (answer.json()["notification_id"], "test")


async def test_a_removed_channel_is_gone(asha: ApiUser) -> None:
    channel_id = await added(asha)
    assert (await asha.call("DELETE", f"{CHANNELS}/{channel_id}")).status_code == 204
    assert (await asha.call("DELETE", f"{CHANNELS}/{channel_id}")).json()["code"] == "channel_not_found"
    assert (await asha.call("GET", CHANNELS)).json() == {"channels": []}


async def test_a_browser_subscribes_as_often_as_it_likes_and_is_one_users(
    asha: ApiUser, api: httpx.AsyncClient
) -> None:
    assert len((await asha.call("GET", "/push/key")).json()["public_key"]) == 87
    endpoint, keys = f"{NEWS}{asha.email}", Browser().keys
    ids = {
        (await asha.call("POST", "/push/subscriptions", endpoint=endpoint, keys=keys, expirationTime=None)).json()[
            "channel_id"
        ]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert {name: (await entry(asha))[name] for name in ("kind", "hint", "state")} == {
        "kind": "webpush", "hint": "8.8.8.8", "state": "active",
    }  # fmt: skip
    ravi = await ApiUser.register(api)
    assert (await ravi.call("DELETE", "/push/subscriptions", endpoint=endpoint)).status_code == 204
    assert (await entry(asha))["channel_id"] in ids, "another user cannot end it"
    await ravi.call("POST", "/push/subscriptions", endpoint=endpoint, keys=keys)
    assert (await asha.call("GET", CHANNELS)).json() == {"channels": []}, "its browser is ravi's now"
    assert (await ravi.call("DELETE", "/push/subscriptions", endpoint=endpoint)).status_code == 204
    assert (await ravi.call("GET", CHANNELS)).json() == {"channels": []}


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        ("http://8.8.8.8/x", "endpoint"), ("https://169.254.169.254/x", "endpoint"), ("https://localhost/", "endpoint"),
        ("https://127.0.0.1:8000/", "endpoint"), ("https://[::ffff:10.0.0.1]/", "endpoint"), ("nonsense", "endpoint"),
    ],
)  # fmt: skip
async def test_an_endpoint_that_is_not_public_is_refused(asha: ApiUser, endpoint: str, field: str) -> None:
    answer = await asha.call("POST", "/push/subscriptions", endpoint=endpoint, keys=Browser().keys)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_keys_that_are_none_are_refused(asha: ApiUser) -> None:
    keys = Browser().keys | {"p256dh": "AAAA"}
    answer = await asha.call("POST", "/push/subscriptions", endpoint=NEWS, keys=keys)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "keys")


async def test_a_user_has_ten_channels_at_most(asha: ApiUser) -> None:
    keys = Browser().keys
    statuses = [
        (await asha.call("POST", "/push/subscriptions", endpoint=f"{NEWS}{n}{asha.email}", keys=keys)).status_code
        for n in range(11)
    ]
    assert statuses == [201] * 10 + [409]
    assert len((await asha.call("GET", CHANNELS)).json()["channels"]) == 10


async def test_addresses_are_read_with_the_next_key(
    offering: Settings, engine: FakeEngine, sessions: Sessions, mails: MailServer
) -> None:
    old, new = offering.encryption_keys[0], SecretStr(generate_key())
    async with serving(offering, engine) as client:
        user = await ApiUser.register(client)
        channel_id = await added(user)
        await user.call("POST", f"{CHANNELS}/{channel_id}/verify", code=code_in(mails))
    await rotate_keys(offering.model_copy(update={"encryption_keys": (new, old)}), new_key=False, drop_old=False)
    async with serving(offering, engine, encryption_keys=(new,)) as client:
        assert (await at(user, client).call("POST", f"{CHANNELS}/{channel_id}/test")).status_code == 202
        await until_tested(mails, user)


async def test_push_without_a_way_to_reach_the_operator_does_not_start(settings: Settings, engine: FakeEngine) -> None:
    app = create_app(settings.model_copy(update={"vapid_private_key": SecretStr(encode(bytes(31) + b"\7"))}), engine)
    with pytest.raises(SettingsError, match="PUBLIC_URL"):
        async with app.router.lifespan_context(app):
            pass


def test_mail_settings_that_cannot_work_stop_the_start(tmp_path: Path) -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        {"smtp_host": "x"},
        {"smtp_host": "x", "smtp_from": "a@b.in", "smtp_user": "u"},
        {"smtp_host": "x", "smtp_from": "a@b.in", "smtp_user": "u", "smtp_password": "p", "smtp_security": "none"},
        {"smtp_from": "a@b.in\r\nBcc: c@d.in"},
        {"vapid_private_key": "short"},
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"SMTP|e-mail|P-256"):
            Settings(_env_file=None, data_dir=tmp_path, **wrong)
