"""Examples of what is asked about the past: runs, and the orders of a strategy and of a day."""

from typing import Any

PAGE = {"total": 1, "total_capped": False, "limit": 50, "offset": 0}
"""What every list says of itself."""

ORDER_LOG: dict[str, Any] = {
    "log_id": 6,
    "run_id": 1,
    "event": "STOPLOSS",
    "leg": "EXIT",
    "order_id": "1795236949250674653",
    "status": "accepted",
    "quantity": 10,
    "price": None,
    "reason": None,
    "triggered_at": "2026-11-21T10:25:49.235704+05:30",
    "sent_at": "2026-11-21T10:25:49.247974+05:30",
    "occurred_at": "2026-11-21T10:25:49.253314+05:30",
    "recorded_at": "2026-11-21T10:25:49.266286+05:30",
}
"""A line of the order log."""

HISTORY_EXAMPLES: dict[str, Any] = {
    "RunList": {
        "runs": [
            {
                "run_id": 1,
                "started_at": "2026-11-21T10:25:15.764910+05:30",
                "ended_at": "2026-11-21T10:25:49.367953+05:30",
                "buy_at": "2026-11-21T10:25:45+05:30",
                "sell_at": "2026-11-21T10:35:15+05:30",
                "product": "MIS",
                "quantity": 10,
                "stop_loss": 1500.0,
                "stop_loss_percent": None,
                "position": "exited_by_sl",
                "status_detail": "",
                "message": "STOP-LOSS Triggered",
                "filled_quantity": 10,
                "buy_price": 1510.0,
                "sell_price": 1495.0,
                "pnl": -150.0,
            }
        ],
    }
    | PAGE,
    "StrategyBars": {
        "strategy_id": 1,
        "run_id": 1,
        "symbol": "INFY",
        "interval": "1m",
        "bars": [
            {"at": "2026-11-21T10:25:00+05:30", "open": 1509.5, "high": 1511.0, "low": 1495.0, "close": 1495.0},
        ],
    },
    "DayOrders": {
        "date": "2026-11-21",
        "orders": [ORDER_LOG | {"strategy_id": 1, "symbol": "INFY"}],
    }
    | PAGE,
}
