"""Examples of readiness, as `api.openapi.examples` has them."""

from typing import Any

READINESS_EXAMPLES: dict[str, dict[str, Any]] = {
    "ReadinessAnswer": {
        "as_of": "2026-11-30T08:45:04.220113+05:30",
        "session": {"date": "2026-11-30", "opens": "09:15:00", "closes": "15:30:00", "special": False},
        "verdict": "blocked",
        "checks": [
            {
                "code": "token_valid",
                "level": "ok",
                "detail": "Your login at the broker is good",
                "strategy_id": None,
                "fix": None,
            },
            {
                "code": "funds_short",
                "level": "block",
                "detail": "INFY 09:20: it needs ₹3,080.40 with a reserve of 2 %, and ₹1,200.00 will be free: "
                "add ₹1,880.40, or buy less",
                "strategy_id": 1,
                "fix": {"kind": "funds", "url": None},
            },
        ],
        "strategies": [
            {
                "strategy_id": 1,
                "symbol": "INFY",
                "buy_at": "2026-11-30T09:20:00+05:30",
                "will_trade": False,
                "because": ["funds_short"],
                "funds_needed": 3020.0,
                "charges_estimate": 15.94,
            }
        ],
    },
}
