"""What schemathesis must know of operations that a spare tenant tries: they would end, or fill up, what others use."""

import itertools
from collections.abc import Callable
from typing import Any, TypeAlias

import requests
import schemathesis
from email_validator import EmailNotValidError, validate_email

from actors.domain.notices.notice import AT_RISK
from tests.kit.push_service import Browser

Case: TypeAlias = schemathesis.Case[Any]
Json = dict[str, Any]
Ask: TypeAlias = Callable[[str, str, Json], requests.Response]
"""One request of the spare tenant: method, path, body."""

ENDING = {"change_password", "delete_account", "disconnect_broker", "end_login", "end_other_logins"}
"""They leave a tenant without a login or a broker."""

OF_A_SPARE = ENDING | {
    "panic", "get_panic", "risk_unlock",
    "add_channel", "remove_channel", "test_channel", "verify_channel", "set_notification_preferences",
    "invite_chat", "push_key", "subscribe_push", "unsubscribe_push",
}  # fmt: skip
"""A panic forbids entries, and a user may have few channels and ask for few codes in an hour."""

COUNTED = {"add_channel", "subscribe_push", "test_channel", "invite_chat"}
"""A user may do so a few times."""

_PUBLIC = "https://8.8.8.8/wpush"
_KEYS = Browser().keys
_turn, _logins = itertools.count(), itertools.count()


def uses_up(operation: str, status: int) -> bool:
    """Whether another spare tenant has to go on after this answer."""
    if operation in ENDING:
        return status in {200, 204, 429}
    return operation in COUNTED and status in {409, 429}


def aim(case: Case, operation: str, ask: Ask) -> None:
    """Three of four times at a channel, a login or a panic that the spare tenant has."""
    if next(_turn) % 4 == 0:
        return
    if operation in {"remove_channel", "test_channel"}:
        body = {"endpoint": f"{_PUBLIC}/{next(_turn)}", "keys": _KEYS}
        answer = ask("POST", "/push/subscriptions", body)
        if answer.status_code == 201:
            case.path_parameters["channel_id"] = answer.json()["channel_id"]
    if operation == "end_login" and next(_logins) % 2:
        case.path_parameters["login_id"] = ask("GET", "/auth/logins", {}).json()["logins"][0]["login_id"]
    if operation == "get_panic":
        case.path_parameters["panic_id"] = ask("POST", "/panic", {}).json()["panic_id"]


def repair_channel(body: Json) -> None:
    """An e-mail address that there can be, and a new one, since few codes go to each."""
    body["kind"] = "email"
    try:
        validate_email(body["address"], check_deliverability=False)
    except EmailNotValidError:
        body["address"] = "user@example.com"
    if len(body["address"]) < 50:
        body["address"] = f"{next(_turn)}.{body['address']}"


def repair_subscription(body: Json) -> None:
    """An address of a push service that there could be, and keys that are some."""
    body["endpoint"] = f"{_PUBLIC}/{next(_turn)}"
    body["keys"] = dict(_KEYS)


def repair_preferences(body: Json) -> None:
    """Both ends of the quiet hours or none, which differ; nothing is off that money may depend on."""
    begins, ends = body.get("quiet_from", "20:00"), body.get("quiet_until", "07:30")
    if begins is None or ends is None or begins[:5] == ends[:5]:
        body["quiet_from"], body["quiet_until"] = (None, None) if next(_turn) % 2 else ("20:00", "07:30")
    levels = body.get("kinds") or {}
    body["kinds"] = {kind: "silent" if level == "off" and kind in AT_RISK else level for kind, level in levels.items()}


REPAIRS = {
    "add_channel": repair_channel,
    "subscribe_push": repair_subscription,
    "set_notification_preferences": repair_preferences,
}
