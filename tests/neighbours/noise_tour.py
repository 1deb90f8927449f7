"""The operations that the noisy tenant's loops do not need: what ends an account is tried on a second one of his."""

import asyncio
import re
from urllib.parse import parse_qsl, urlsplit

from tests.kit.login_form import Browser
from tests.kit.mail_server import MailServer
from tests.kit.push_service import Browser as PushedBrowser
from tests.neighbours.noise_client import PASSWORD, NoiseClient

OTHER_PASSWORD, THIRD_PASSWORD = "a better battery, stapled", "yet another battery, charged"

NEW_STRATEGY = {"symbol": "INFY", "stop_loss": 500.0, "quantity": 1, "sell_time": "23:59:58", "buy_time": "00:00:01"}

IN_PERCENT = {key: value for key, value in NEW_STRATEGY.items() if key != "stop_loss"} | {"stop_loss_percent": 2.5}

PUSH_ENDPOINT = "https://8.8.8.8/wpush/"
"""Only the account that never trades subscribes at it, and unsubscribes at once: nothing is ever sent there."""


async def tour_once(decoy: NoiseClient, code: str, mails: MailServer) -> None:
    """Everything that can be done once, up to deleting the account. `code`: the operator's, for a new password.

    Raises:
        RuntimeError: an operation was refused.
    """
    await _log_in_by_browser(decoy)
    await _be_notified(decoy, mails)
    await _panic(decoy)
    login = await decoy.ok("login", {"email": decoy.email, "password": PASSWORD})
    renewed = await decoy.ok("refresh", {"refresh_token": login["refresh_token"]})
    await decoy.ok("logout", {"refresh_token": renewed["refresh_token"]})
    await decoy.ok("end_other_logins")
    await decoy.ok("disconnect_broker")
    # first, since a change of the password ends the code
    decoy.token = (await decoy.ok("reset_password", {"code": code, "new_password": OTHER_PASSWORD}))["access_token"]
    change = {"current_password": OTHER_PASSWORD, "new_password": THIRD_PASSWORD}
    decoy.token = (await decoy.ok("change_password", change))["access_token"]
    await decoy.ok("delete_account", {"password": THIRD_PASSWORD})


async def confirm_mail(client: NoiseClient, mails: MailServer) -> int:
    """A channel to the user's address, which notices are sent to from now on; its id."""
    channel_id = int((await client.ok("add_channel", {"kind": "email", "address": client.email}))["channel_id"])
    code = re.search(r"\d{8}", mails.text())
    assert code is not None
    await client.ok("verify_channel", {"code": code[0]}, channel_id=channel_id)
    return channel_id


async def _be_notified(decoy: NoiseClient, mails: MailServer) -> None:
    channel_id = await confirm_mail(decoy, mails)
    await decoy.ok("test_channel", channel_id=channel_id)
    await decoy.ok("remove_channel", channel_id=channel_id)
    await decoy.ok("push_key")
    await decoy.ok("subscribe_push", {"endpoint": PUSH_ENDPOINT, "keys": PushedBrowser().keys})
    await decoy.ok("unsubscribe_push", {"endpoint": PUSH_ENDPOINT})
    await decoy.ok("confirm_password", {"password": PASSWORD})
    await decoy.ok("invite_chat")


async def _panic(decoy: NoiseClient) -> None:
    """It forbids entries until they are allowed again: an account that buys must not do it."""
    panic_id = (await decoy.ok("panic"))["panic_id"]
    await decoy.ok("get_panic", panic_id=panic_id)
    await decoy.ok("confirm_password", {"password": PASSWORD})
    await decoy.ok("risk_unlock")


async def _log_in_by_browser(decoy: NoiseClient) -> None:
    link = (await decoy.ok("make_login_link"))["login_link"]
    await decoy.ok("open_login_link", query=dict(parse_qsl(urlsplit(link).query)))
    page = (await decoy.ok("broker_login_url", query={"return": "app"}))["login_url"]
    back = await asyncio.to_thread(Browser().log_in, page, decoy.account.user_id)
    await decoy.ok("broker_callback", query=dict(parse_qsl(urlsplit(back).query)))


async def tour_again(client: NoiseClient, held: int, resting: int) -> None:
    """Everything that can be done again and again, and that no loop does; refusals are counted like any answer."""
    for name in (
        "validate", "broker_status", "connect_paper", "healthz", "readyz", "metrics", "make_login_link",
        "broker_login_url", "app_config", "list_channels", "notification_preferences", "push_key",
        "get_readiness", "refresh_readiness", "orders_of_day",
    ):  # fmt: skip
        await client.call(name)
    for name in ("get_strategy", "strategy_status", "strategy_runs", "strategy_bars"):
        await client.call(name, strategy_id=resting)
    await client.call("strategy_closed_by_trader", once=True, strategy_id=held)
    await client.call("strategy_held_by_trader", once=True, strategy_id=held)
    await client.call("confirm_password", {"password": PASSWORD})
    await client.call("open_login_link", query={"code": "0000-0000"})
    await client.call("broker_callback", query={"status": "success", "request_token": "x" * 32, "state": "x"})
    await client.call("search_instruments", query={"q": "in", "limit": 20})
    await client.call("market_calendar", query={"days": 92})
    await client.call("preview_strategy", {"strategy_id": resting})
    await client.call("preview_strategy", NEW_STRATEGY)
    await client.call("set_notification_preferences", {"kinds": {"fill_entry": "silent"}})
    await _read_inbox(client)
    await _create_and_delete(client)
    await _log_in_and_end(client)


async def _read_inbox(client: NoiseClient) -> None:
    inbox = await client.call("list_notifications", query={"limit": 200})
    if inbox.status_code == 200 and (notices := inbox.json()["notifications"]):
        await client.call("read_notifications", {"through": notices[0]["notification_id"]})


async def _create_and_delete(client: NoiseClient) -> None:
    made = await client.call("create_strategy", IN_PERCENT, once=True)
    if made.status_code == 201:
        strategy_id = made.json()["strategy_id"]
        await _schedule(client, strategy_id)
        await client.call("delete_strategy", strategy_id=strategy_id)


async def _schedule(client: NoiseClient, strategy_id: int) -> None:
    """It begins in a time to come, so that nothing is started."""
    await client.call("put_schedule", {"days": "every_session", "from": "2099-01-01"}, strategy_id=strategy_id)
    await client.call("get_schedule", strategy_id=strategy_id)
    await client.call("skip_schedule_day", {"date": "2099-01-02"}, strategy_id=strategy_id)
    await client.call("pause_schedule", {"until": None}, strategy_id=strategy_id)
    await client.call("resume_schedule", strategy_id=strategy_id)
    await client.call("schedule_overview", query={"days": 31})
    await client.call("delete_schedule", strategy_id=strategy_id)


async def _log_in_and_end(client: NoiseClient) -> None:
    login = await client.call("login", {"email": client.email, "password": PASSWORD})
    if login.status_code == 200:
        listed = await client.call("list_logins", token=login.json()["access_token"], query={"limit": 20})
        if listed.status_code == 200:
            current = next(one for one in listed.json()["logins"] if one["current"])
            await client.call("end_login", login_id=current["login_id"])
