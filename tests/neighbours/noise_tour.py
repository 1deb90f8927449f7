"""The operations that the noisy tenant's loops do not need: what ends an account is tried on a second one of his."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.kit.login_form import Browser
from tests.neighbours.noise_client import PASSWORD, NoiseClient

OTHER_PASSWORD, THIRD_PASSWORD = "a better battery, stapled", "yet another battery, charged"


async def tour_once(decoy: NoiseClient, tokens: Mapping[str, Any], code: str) -> None:
    """Everything that can be done once, up to deleting the account. `code`: the operator's, for a new password.

    Raises:
        RuntimeError: an operation was refused.
    """
    await _log_in_by_browser(decoy)
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


async def _log_in_by_browser(decoy: NoiseClient) -> None:
    link = (await decoy.ok("make_login_link"))["login_link"]
    await decoy.ok("open_login_link", query=dict(parse_qsl(urlsplit(link).query)))
    page = (await decoy.ok("broker_login_url", query={"return": "app"}))["login_url"]
    back = await asyncio.to_thread(Browser().log_in, page, decoy.account.user_id)
    await decoy.ok("broker_callback", query=dict(parse_qsl(urlsplit(back).query)))


async def tour_again(client: NoiseClient, held: int, resting: int) -> None:
    """Everything that can be done again and again, and that no loop does; refusals are counted like any answer."""
    for name in ("validate", "broker_status", "healthz", "readyz", "metrics", "make_login_link", "broker_login_url"):
        await client.call(name)
    for name in ("get_strategy", "strategy_status"):
        await client.call(name, strategy_id=resting)
    await client.call("strategy_closed_by_trader", once=True, strategy_id=held)
    await client.call("strategy_held_by_trader", once=True, strategy_id=held)
    await client.call("confirm_password", {"password": PASSWORD})
    await client.call("open_login_link", query={"code": "0000-0000"})
    await client.call("broker_callback", query={"status": "success", "request_token": "x" * 32, "state": "x"})
    await _create_and_delete(client)
    await _log_in_and_end(client)


async def _create_and_delete(client: NoiseClient) -> None:
    body = {"symbol": "INFY", "stop_loss": 500.0, "quantity": 1, "sell_time": "23:59:58", "buy_time": "00:00:01"}
    made = await client.call("create_strategy", body, once=True)
    if made.status_code == 201:
        await client.call("delete_strategy", strategy_id=made.json()["strategy_id"])


async def _log_in_and_end(client: NoiseClient) -> None:
    login = await client.call("login", {"email": client.email, "password": PASSWORD})
    if login.status_code == 200:
        listed = await client.call("list_logins", token=login.json()["access_token"], query={"limit": 20})
        if listed.status_code == 200:
            current = next(one for one in listed.json()["logins"] if one["current"])
            await client.call("end_login", login_id=current["login_id"])
