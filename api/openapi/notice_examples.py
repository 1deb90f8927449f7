"""Examples of notices and of where they are sent to, as `api.openapi.examples` has them."""

from typing import Any

from actors.domain.notices.notice import USUAL_LEVELS
from api.openapi.history_examples import PAGE

_CHANNEL = {
    "channel_id": 1,
    "kind": "email",
    "hint": "as***@example.com",
    "state": "active",
    "created_at": "2026-11-21T10:25:15.710114+05:30",
    "verified_at": "2026-11-21T10:26:02.118201+05:30",
    "last_failure": None,
}
_ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABk"
_PUSH_KEYS = {  # those of RFC 8291
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}

NOTICE_EXAMPLES: dict[str, dict[str, Any]] = {
    "InboxPage": {
        "notifications": [
            {
                "notification_id": 7,
                "kind": "exit_stop",
                "at_risk": False,
                "text": "Stop-loss: sold 10 INFY at ₹1,495.00. −₹150.00 before charges. The stop-loss was ₹1,500.00.",
                "at": "2026-11-21T10:25:49.367953+05:30",
                "strategy_id": 1,
                "lasts": False,
                "resolves": False,
                "read_at": None,
            }
        ],
        "unread": 1,
    }
    | PAGE,
    "ReadRequest": {"through": 7},
    "ReadAnswer": {"unread": 0},
    "ChannelRequest": {"kind": "email", "address": "asha@example.com"},
    "ChatInvitation": {
        "link": "https://t.me/tradeactors_bot?start=Vn3hXy0c6mT1qk8rB2sLw9Zd",
        "code": "Vn3hXy0c6mT1qk8rB2sLw9Zd",
        "expires_at": "2026-11-21T10:35:15.710114+05:30",
    },
    "CodeRequest": {"code": "01234567"},
    "ChannelEntry": _CHANNEL,
    "ChannelList": {"channels": [_CHANNEL]},
    "TestAnswer": {"notification_id": 8},
    "PushKeyAnswer": {"public_key": _PUSH_KEYS["p256dh"]},
    "PushSubscriptionRequest": {"endpoint": _ENDPOINT, "keys": _PUSH_KEYS, "expirationTime": None},
    "PushEndpointRequest": {"endpoint": _ENDPOINT},
    "PreferencesRequest": {
        "quiet_from": "20:00",
        "quiet_until": "07:30",
        "amounts": False,
        "kinds": {"fill_entry": "silent"},
    },
    "PreferencesAnswer": {
        "quiet_from": "20:00:00",
        "quiet_until": "07:30:00",
        "amounts": False,
        "kinds": {kind: "silent" if kind == "fill_entry" else level for kind, level in USUAL_LEVELS.items()},
    },
}
