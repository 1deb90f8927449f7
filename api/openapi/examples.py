"""Examples for the OpenAPI document: bodies and answers by the name of their schema, errors by operation and status.

The values are those of `docs/api.md`.
"""

from typing import Any

from api.openapi.history_examples import HISTORY_EXAMPLES, ORDER_LOG, PAGE
from api.openapi.notice_examples import NOTICE_EXAMPLES
from api.openapi.readiness_examples import READINESS_EXAMPLES
from api.openapi.reference_examples import REFERENCE_EXAMPLES
from api.openapi.schedule_examples import SCHEDULE_ERRORS, SCHEDULE_EXAMPLES

_LOGIN = {"email": "asha@example.com", "password": "correct horse battery"}
_STRATEGY = {
    "symbol": "INFY",
    "buy_time": "10:25:45",
    "sell_time": "10:35:15",
    "stop_loss": 1500.0,
    "stop_loss_percent": None,
    "quantity": 10,
    "product": "MIS",
}
_STRATEGY_ANSWER = {"strategy_id": 1} | _STRATEGY | {
    "strategy_status": "stopped",
    "created_at": "2026-11-21T10:25:15.764910+05:30",
    "updated_at": "2026-11-21T10:25:49.378876+05:30",
}  # fmt: skip
_PANIC_ID = "0b1f6f1c-2f0c-4a58-9d0b-6f6a3a1f6c11"

EXAMPLES: dict[str, dict[str, Any]] = {
    "RegisterRequest": _LOGIN | {"invitation": None},
    "LoginRequest": _LOGIN,
    "RefreshRequest": {"refresh_token": "kq0Z1pW3yq8m1V0cJc1o5v3m4Zt6dTn2xQe7uFhYb9A"},
    "PasswordChangeRequest": {
        "current_password": "correct horse battery",
        "new_password": "a better battery, stapled",
    },
    "PasswordResetRequest": {
        "code": "7KQ2-XWMA-9TBC-4HRP-ZE63-VNJD",
        "new_password": "a better battery, stapled",
    },
    "ConfirmRequest": {"password": "correct horse battery"},
    "ConfirmAnswer": {"confirmed_until": "2026-11-21T10:30:15.710114+05:30"},
    "LoginList": {
        "logins": [
            {
                "login_id": 1,
                "current": True,
                "started_at": "2026-11-21T10:25:15.710114+05:30",
                "last_used_at": "2026-11-21T10:40:02.118201+05:30",
                "address": "192.0.2.1",
                "user_agent": "Mozilla/5.0 (Android 16; Mobile; rv:148.0) Gecko/148.0 Firefox/148.0",
            },
        ]
    }
    | PAGE,
    "LoginsEnded": {"ended": 2},
    "DeleteAccountRequest": {"password": "correct horse battery"},
    "LoginAnswer": {
        "access_token": "header.claims.signature",
        "token_type": "bearer",
        "expires_in": 900,
        "refresh_token": "kq0Z1pW3yq8m1V0cJc1o5v3m4Zt6dTn2xQe7uFhYb9A",
    },
    "ValidateAnswer": {
        "valid": True,
        "user_id": 1,
        "email": "asha@example.com",
        "expires_at": "2026-11-21T10:40:15+05:30",
    },
    "ActivityList": {
        "activity": [
            {"at": "2026-11-21T10:25:15.710114+05:30", "action": "login", "subject": "", "address": "192.0.2.1"},
        ]
    }
    | PAGE,
    "BrokerConnectRequest": {
        "broker": "paper",
        "api_key": "paper",
        "api_secret": "paper-secret",
        "access_token": "paper-token",
    },
    "BrokerConnectAnswer": {"broker_connected": True, "broker": "paper", "broker_user_id": "PA0001"},
    "BrokerLoginAnswer": {
        "login_url": "https://kite.zerodha.com/connect/login?api_key=abcd1234&v=3",
        "broker": "kite",
        "redirect_url": "https://api.example.com/broker/callback",
        "expires_at": None,
    },
    "BrokerLoginLink": {
        "login_link": "https://api.example.com/broker/login?code=kq0Z1pW3yq8m1V0cJc1o5v3m4Zt6dTn2xQe7uFhYb9A",
        "expires_at": "2026-11-22T06:00:00+05:30",
    },
    "BrokerStatusAnswer": {
        "broker_connected": True,
        "broker": "kite",
        "broker_user_id": "AB1234",
        "api_key_hint": "1234",
        "connected_at": "2026-11-21T10:25:15.710114+05:30",
        "token_obtained_at": "2026-11-21T10:25:15.710109+05:30",
        "token_age_s": 61,
        "token_expires_at": "2026-11-22T06:00:00+05:30",
        "token_expired": False,
        "proxy": None,
    },
    "StrategyCreateRequest": _STRATEGY,
    "StrategyIdRequest": {"strategy_id": 1},
    "StrategyPreviewRequest": {"strategy_id": 1},
    "StrategyPreview": {
        "strategy_id": 1,
        "symbol": "INFY",
        "product": "MIS",
        "quantity": 10,
        "stop_loss": 1500.0,
        "stop_loss_percent": None,
        "session": {
            "date": "2026-11-23",
            "opens": "09:15:00",
            "closes": "15:30:00",
            "sell_before": "15:15:00",
            "special": False,
        },
        "buy_at": "2026-11-23T10:25:45+05:30",
        "sell_at": "2026-11-23T10:35:15+05:30",
        "last_price": 1510.0,
        "notional": 15100.0,
        "worst_case_loss": 100.0,
        "charges": {
            "estimated": True,
            "brokerage": 9.06,
            "transaction_tax": 3.78,
            "exchange": 0.93,
            "sebi": 0.03,
            "stamp_duty": 0.45,
            "gst": 1.8,
            "total": 16.05,
        },
        "message": "Waiting to buy at 2026-11-23 10:25:45",
        "warnings": [
            {
                "code": "not_today",
                "message": "It will trade on Monday, 2026-11-23, not today",
                "strategy_id": None,
            }
        ],
    },
    "StrategyPatchRequest": {"stop_loss": 1505.5},
    "StrategyIdAnswer": {"strategy_id": 1},
    "StrategyStarted": {
        "strategy_id": 1,
        "strategy_status": "running",
        "buy_at": "2026-11-21T10:25:45+05:30",
        "sell_at": "2026-11-21T10:35:15+05:30",
        "message": "Waiting to buy at 2026-11-21 10:25:45",
        "notes": [
            {
                "code": "equal_strategy_running",
                "strategy_id": 2,
                "message": "Strategy 2 runs as well, for the same: 10 INFY (MIS), 10:25:45 to 10:35:15, "
                "stop-loss ₹1500.00. If you want it only once, stop one of them",
            }
        ],
    },
    "StrategyAnswer": _STRATEGY_ANSWER,
    "StrategyPatched": _STRATEGY_ANSWER | {"stop_loss_confirmed": None},
    "StrategyPage": {"strategies": [_STRATEGY_ANSWER]} | PAGE,
    "StrategyStatus": {
        "strategy_id": 1,
        "run_id": 1,
        "symbol": "INFY",
        "product": "MIS",
        "strategy_status": "stopped",
        "phase": "ended",
        "position": "exited_by_sl",
        "status_detail": "",
        "last_action": "STOPLOSS",
        "last_price": 1495.0,
        "last_price_age_ms": None,
        "feed_lag_ms": None,
        "feed_since": None,
        "feed": None,
        "stop_loss": 1500.0,
        "stop_loss_percent": None,
        "quantity": 10,
        "filled_quantity": 10,
        "buy_price": 1510.0,
        "sell_price": 1495.0,
        "pnl": -150.0,
        "charges": {
            "estimated": True,
            "brokerage": 9.02,
            "transaction_tax": 3.74,
            "exchange": 0.92,
            "sebi": 0.03,
            "stamp_duty": 0.45,
            "gst": 1.79,
            "total": 15.95,
        },
        "net_pnl": -165.95,
        "stop_now": None,
        "target": None,
        "unrealised_pnl": None,
        "next": None,
        "buy_at": "2026-11-21T10:25:45+05:30",
        "sell_at": "2026-11-21T10:35:15+05:30",
        "last_buy_order": "1795236945018861353",
        "last_sell_order": None,
        "last_sl_order": "1795236949250674653",
        "guard": {"state": "nothing", "reason": None, "since": None, "confirmed_at": None, "by": []},
        "message": "STOP-LOSS Triggered",
        "updated_at": "2026-11-21T10:25:49.367953+05:30",
    },
    "StopRequest": {"strategy_id": 1},
    "PanicTaken": {"panic_id": _PANIC_ID, "entries_forbidden": True, "stopping": [1], "warnings": []},
    "PanicAnswer": {
        "panic_id": _PANIC_ID,
        "asked_at": "2026-11-21T10:25:49.235704+05:30",
        "asked_by": "user",
        "state": "finished",
        "finished_at": "2026-11-21T10:25:50.367953+05:30",
        "unlocked_at": None,
        "entries_forbidden": True,
        "strategies": [
            {"strategy_id": 1, "symbol": "INFY", "outcome": "flat", "position": "sold", "message": "Stopped"}
        ],
        "not_touched": [{"symbol": "INFY", "product": "CNC", "quantity": 20}],
        "message": "All is flat. Not touched: 20 INFY of your own",
    },
    "UnlockAnswer": {"entries_forbidden": False},
    "OrderLogPage": {"orders": [ORDER_LOG]} | PAGE,
    "StrategyTimeline": {
        "strategy_id": 1,
        "run_id": 1,
        "started_at": "2026-11-21T10:25:15.764910+05:30",
        "ended_at": "2026-11-21T10:25:49.367953+05:30",
        "message": "STOP-LOSS Triggered",
        "summary": "Bought 10 INFY at 1510.00, 14 ms after 10:25:45; sold by stop-loss at 1495.00, "
        "12 ms after the price touched it at 10:25:49.",
        "legs": [
            {
                "leg": "EXIT",
                "seq": 1,
                "cause": "STOPLOSS",
                "scheduled_at": None,
                "triggered_at": "2026-11-21T10:25:49.235704+05:30",
                "sent_at": "2026-11-21T10:25:49.247974+05:30",
                "acknowledged_at": "2026-11-21T10:25:49.253314+05:30",
                "filled_at": "2026-11-21T10:25:49.362105+05:30",
                "late_ms": 12,
                "order_id": "1795236949250674653",
                "quantity": 10,
                "filled_quantity": 10,
                "average_price": 1495.0,
                "outcome": "filled",
                "attempts": [
                    {
                        "status": "accepted",
                        "sent_at": "2026-11-21T10:25:49.247974+05:30",
                        "answered_at": "2026-11-21T10:25:49.253314+05:30",
                        "order_id": "1795236949250674653",
                        "reason": None,
                    }
                ],
                "attempts_total": 1,
            }
        ],
        "legs_total": 2,
        "notes": [
            {
                "at": "2026-11-21T10:25:49.236012+05:30",
                "event": "STOPLOSS_TRIGGERED",
                "reason": "price ₹1495.00 at or below ₹1500.00",
            }
        ],
        "notes_total": 1,
        "notes_total_capped": False,
        "limit": 50,
        "offset": 0,
    },
    **HISTORY_EXAMPLES,
    **REFERENCE_EXAMPLES,
    **NOTICE_EXAMPLES,
    **SCHEDULE_EXAMPLES,
    **READINESS_EXAMPLES,
    "Alive": {"status": "ok"},
    "Readiness": {
        "status": "ready",
        "checks": {"database": "ok", "redis": "ok", "engine": "ok", "encryption_keys": "ok"},
    },
    "InvalidRequest": {
        "detail": "stop_loss: must be greater than 0 and at most 10000000",
        "code": "invalid_request",
        "errors": [{"field": "stop_loss", "message": "must be greater than 0 and at most 10000000"}],
        "suggestions": [],
    },
}

EVENT_STREAM = """id: 1795236949266-0
event: snapshot_end
data: {"strategies": 0}

"""

_NO_TOKEN = ("token_invalid", "Missing token: send it as `Authorization: Bearer ...`")
_ERRORS: dict[str, tuple[str, str]] = {
    "401": _NO_TOKEN,
    "403": ("credentials_mismatch", "Credentials mismatch"),
    "404": ("strategy_not_found", "No such strategy"),
    "408": ("request_timeout", "The request did not arrive in time"),
    "409": ("strategy_running", "Stop the strategy first; only its stop-loss can be moved meanwhile"),
    "413": ("request_too_large", "A request may have 64 KiB"),
    "429": ("rate_limited", "Too many requests. Please wait."),
    "503": ("database_unavailable", "The service is not available right now. Please try again."),
}
_WRONG_PASSWORD = ("invalid_credentials", "Invalid e-mail or password")
_OTHER_ORIGIN = ("origin_refused", "Only a page of this server may keep a login; its address is the server's own")
_STRATEGIES_RUN = ("strategies_running", "Stop your running strategies first")
_NOT_CONNECTED = ("broker_not_connected", "Connect your broker first")
_ERRORS_OF_ONE: dict[tuple[str, str], tuple[str, str]] = {
    ("register", "409"): ("email_taken", "This e-mail address is registered already"),
    ("register", "429"): ("too_many_attempts", "Too many attempts. Please wait."),
    ("login", "401"): _WRONG_PASSWORD,
    ("login", "429"): ("too_many_attempts", "Too many attempts. Please wait."),
    ("refresh", "401"): ("invalid_credentials", "Please log in again"),
    ("login", "403"): _OTHER_ORIGIN,
    ("refresh", "403"): _OTHER_ORIGIN,
    ("logout", "403"): _OTHER_ORIGIN,
    ("change_password", "403"): _OTHER_ORIGIN,
    ("reset_password", "403"): _OTHER_ORIGIN,
    ("register", "403"): (
        "invitation_needed",
        "Accounts are opened here by the operator's invitation only: ask him for one",
    ),
    ("reset_password", "401"): (
        "reset_code_invalid",
        "This code is not good or was used: ask the operator for another",
    ),
    ("end_login", "404"): ("login_not_found", "No such login"),
    ("delete_account", "409"): _STRATEGIES_RUN,
    ("connect_broker", "401"): ("broker_token_expired", "Token expired, please refresh"),
    ("connect_broker", "409"): _STRATEGIES_RUN,
    ("connect_paper", "401"): ("token_expired", "Token expired"),
    ("connect_paper", "409"): _STRATEGIES_RUN,
    ("connect_paper", "503"): ("broker_unreachable", "The broker does not answer. Please try again."),
    ("connect_broker", "503"): ("broker_unreachable", "The broker does not answer. Please try again."),
    ("broker_login_url", "409"): ("broker_not_offered", "kite is not offered here: choose paper"),
    ("disconnect_broker", "409"): _STRATEGIES_RUN,
    ("create_strategy", "409"): _NOT_CONNECTED,
    ("create_strategy", "503"): ("broker_unreachable", "The broker does not answer. Please try again."),
    ("preview_strategy", "409"): _NOT_CONNECTED,
    ("preview_strategy", "503"): ("broker_unreachable", "The broker does not answer. Please try again."),
    ("search_instruments", "409"): _NOT_CONNECTED,
    ("search_instruments", "503"): ("broker_unreachable", "The broker does not answer. Please try again."),
    ("start_strategy", "409"): _NOT_CONNECTED,
    ("start_strategy", "503"): (
        "engine_unavailable",
        "The trading engine does not answer right now. Please try again.",
    ),
    **SCHEDULE_ERRORS,
    ("get_panic", "404"): ("panic_not_found", "No such panic"),
    ("risk_unlock", "403"): (
        "password_needed",
        "Please give your password again (POST /auth/confirm), then allow entries",
    ),
    ("stop_strategy", "503"): (
        "engine_unavailable",
        "The trading engine does not answer right now. Please try again.",
    ),
}


def error_example(operation_id: str, status: str) -> dict[str, Any]:
    """A typical error of an operation."""
    code, detail = _ERRORS_OF_ONE.get((operation_id, status), _ERRORS[status])
    return {"detail": detail, "code": code}
