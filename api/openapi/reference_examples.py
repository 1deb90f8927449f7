"""Examples of what clients look up, as `api.openapi.examples` has them."""

from typing import Any

REFERENCE_EXAMPLES: dict[str, dict[str, Any]] = {
    "InstrumentsFound": {
        "instruments": [
            {
                "symbol": "INFY",
                "exchange": "NSE",
                "name": "INFOSYS",
                "tick_size": 0.1,
                "lot_size": 1,
                "mis_allowed": True,
                "closing_auction": True,
                "freeze_quantity": None,
            }
        ],
        "nearest": False,
        "note": None,
    },
    "MarketCalendar": {
        "calendar": "XNSE",
        "time_zone": "Asia/Kolkata",
        "now": "2026-11-23T08:30:00.512313+05:30",
        "regular": {"opens": "09:15:00", "closes": "15:30:00"},
        "mis_cutoff": "15:20:00",
        "auction_from": "15:15:00",
        "known_until": "2026-12-31",
        "days": [
            {
                "date": "2026-11-23",
                "sessions": [
                    {
                        "opens": "09:15:00",
                        "closes": "15:30:00",
                        "last_entry": None,
                        "mis_cutoff": "15:20:00",
                        "auction_from": "15:15:00",
                    }
                ],
                "special": False,
                "closed": None,
            },
            {"date": "2026-11-24", "sessions": [], "special": False, "closed": "holiday"},
        ],
    },
    "AppConfig": {
        "version": "0.1.0",
        "minimum_client_version": "0.1.0",
        "registration": "open",
        "brokers": ["paper"],
        "password": {"fewest_characters": 8, "most_characters": 256},
        "time_zone": "Asia/Kolkata",
        "limits": {
            "strategies": 1000,
            "running_strategies": 25,
            "quantity": 100000,
            "order_value": 100000000,
            "requests_per_minute": 6000,
            "starts_per_minute": 30,
        },
        "login_days": 90,
        "login_unused_days": 14,
    },
}
