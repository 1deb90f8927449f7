"""Examples of schedules, as `api.openapi.examples` has them."""

from typing import Any

_ENDED = ("schedule_ended", "Its last day has passed: make another schedule")

SCHEDULE_EXAMPLES: dict[str, dict[str, Any]] = {
    "ScheduleRequest": {"days": ["mon", "tue", "wed", "thu", "fri"], "skip": ["2026-12-24"]},
    "SchedulePauseRequest": {"until": None},
    "ScheduleSkipRequest": {"date": "2026-12-24"},
    "ScheduleAnswer": {
        "strategy_id": 1,
        "days": ["mon", "tue", "wed", "thu", "fri"],
        "from": "2026-11-23",
        "until": None,
        "skip": ["2026-12-24"],
        "special_sessions": False,
        "state": "active",
        "pause_reason": None,
        "paused_until": None,
        "next": [
            {
                "date": "2026-11-25",
                "buy_at": "2026-11-25T10:25:45+05:30",
                "sell_at": "2026-11-25T10:35:15+05:30",
            }
        ],
        "latest": [{"date": "2026-11-23", "outcome": "armed", "code": "", "reason": "", "run_id": 1}],
    },
    "ScheduleOverview": {
        "days": [
            {
                "date": "2026-11-25",
                "closed": None,
                "strategies": [
                    {
                        "strategy_id": 1,
                        "symbol": "INFY",
                        "buy_at": "2026-11-25T10:25:45+05:30",
                        "sell_at": "2026-11-25T10:35:15+05:30",
                        "outcome": "planned",
                        "code": "",
                        "reason": "",
                        "run_id": None,
                    }
                ],
            }
        ]
    },
}

SCHEDULE_ERRORS: dict[tuple[str, str], tuple[str, str]] = {
    **{
        (name, "404"): ("schedule_not_found", "This strategy has no schedule")
        for name in ("get_schedule", "delete_schedule", "pause_schedule", "resume_schedule", "skip_schedule_day")
    },
    ("put_schedule", "409"): ("broker_not_connected", "Connect your broker first"),
    ("pause_schedule", "409"): _ENDED,
    ("resume_schedule", "409"): _ENDED,
    ("skip_schedule_day", "409"): ("schedule_day_armed", "The strategy runs for this day already: stop it"),
}
