"""Every metric of the deployment: its name, its kind, what it says, and by which labels. Nothing else names one.

No label tells strategies or users apart: each would make series without end. Those of the engine are counted by the
ledgers, feeds and execution actors, and shown by each process of the API, so they carry the label `process`.
"""

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Upper bounds of the latencies: 5 ms and 300 ms are those that rows F2 and E3 allow."""

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; a counter's `name` is without `_total`. `per_process`: the label `process` comes with it."""

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    per_process: bool = False

    @property
    def samples(self) -> tuple[str, ...]:
        """The names that a scrape shows."""
        if self.kind == "counter":
            return (f"{self.name}_total",)
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


# --- counted by the actors --------------------------------------------------------------------------------------------

ALERTS = Metric("tradeactors_alerts", "counter", "Alerts by code", ("code",), True)
ATTEMPTS = Metric("tradeactors_order_attempts", "counter", "Requests to the broker", ("cause", "outcome"), True)
RETRIES = Metric(
    "tradeactors_order_retries", "counter", "Requests that followed another of their order", ("cause",), True
)
SENT = Metric(
    "tradeactors_trigger_to_sent_seconds",
    "histogram",
    "From the trigger, of a stop-loss the tick, to the request",
    ("cause",),
    True,
)
ACKNOWLEDGED = Metric(
    "tradeactors_trigger_to_acknowledged_seconds",
    "histogram",
    "From the trigger to the broker's order id",
    ("cause",),
    True,
)
LOADS = Metric(
    "tradeactors_run_loads",
    "counter",
    "Runs that an actor took over: for the first time, or again after a death",
    ("kind",),
    True,
)
RECORDS = Metric(
    "tradeactors_ledger_records",
    "counter",
    "Entries of strategies: recorded, refused, stale, or not answered by PostgreSQL",
    ("outcome",),
    True,
)
RECORD_SECONDS = Metric("tradeactors_ledger_record_seconds", "histogram", "Time of a record", (), True)
LEDGER_WAITING = Metric("tradeactors_ledger_waiting", "gauge", "Entries and lines that wait for PostgreSQL", (), True)
UNMIRRORED = Metric("tradeactors_ledger_unmirrored_runs", "gauge", "Runs whose last record Redis has missed", (), True)
STOPS_ARMED = Metric("tradeactors_execution_stops_armed", "gauge", "Stop-losses that execution watches", (), True)
STOPS_DEAF = Metric(
    "tradeactors_execution_stops_without_prices",
    "gauge",
    "Stop-losses that execution watches and hears no prices for",
    (),
    True,
)
ARMED_PRICE_AGE = Metric(
    "tradeactors_armed_price_age_seconds",
    "gauge",
    "Of the symbols whose stop-losses execution watches: how long ago the one that is silent longest had a price",
    (),
    True,
)
BUDGET_LEFT = Metric(
    "tradeactors_order_budget_left_ratio",
    "gauge",
    "Of the account that has least: which part of its requests of this minute, and of this day, is left",
    ("window",),
    True,
)
BUDGET_WAITING = Metric(
    "tradeactors_order_budget_waiting", "gauge", "Requests that wait for the order budget of their account", (), True
)
CLAIMS = Metric(
    "tradeactors_order_claims",
    "counter",
    "Claims of order locks: granted, owned (in PostgreSQL), held_by_me, refused, or not answered by any store",
    ("verdict",),
    True,
)
FEED_LOSSES = Metric(
    "tradeactors_feed_losses", "counter", "Connections of a price stream that were lost", ("broker",), True
)
RESIDENT = Metric("tradeactors_process_resident_bytes", "gauge", "Memory of a process", (), True)
SILENCE = Metric(
    "tradeactors_process_silence_seconds", "gauge", "How long ago a process last said that it runs", (), True
)

# --- read by a process of the API when it is asked --------------------------------------------------------------------

PART_UP = Metric("tradeactors_part_up", "gauge", "Whether PostgreSQL, or Redis, could be read", ("part",))
RUNS = Metric("tradeactors_runs", "gauge", "Open runs: all, waiting to buy, paused", ("state",))
POSITIONS = Metric(
    "tradeactors_positions", "gauge", "Positions held, by guard: twice, once, not, exiting, exit_failed", ("guard",)
)
UNGUARDED_SECONDS = Metric(
    "tradeactors_unguarded_seconds", "gauge", "How long the position that is not guarded longest is so; 0: none", ()
)
OUTCOMES_UNKNOWN = Metric(
    "tradeactors_outcomes_unknown", "gauge", "Orders of which it is not known whether the broker has them"
)
QUEUED = Metric("tradeactors_orders_queued", "gauge", "Events on queue:orders")
BURIED = Metric("tradeactors_orders_buried", "gauge", "Events on queue:orders:dead")
NOTICES = Metric(
    "tradeactors_notices", "gauge", "Notices to traders: waiting, late, given up within the hour", ("state",)
)
SCHEDULES = Metric(
    "tradeactors_schedules_today", "gauge", "Schedules of the day: waiting, armed, skipped, missed", ("outcome",)
)
FAULTS = Metric("tradeactors_operator_faults", "gauge", "Faults of the deployment that API processes see", ("code",))
PANICS = Metric("tradeactors_panics_unfinished", "gauge", "Panics that are not finished")
FEED_LAG = Metric(
    "tradeactors_feed_lag_seconds",
    "gauge",
    "How far the stamps of a tick stream are behind our clock",
    ("broker", "connection"),
)
FEED_LIVE = Metric(
    "tradeactors_feed_live",
    "gauge",
    "Whether a tick stream is as it should be: not dead, and not late",
    ("broker", "connection"),
)
PLACES = Metric(
    "tradeactors_places", "gauge", "What running strategies take of the deployment: of, used and limit", ("of", "what")
)

# --- counted by a process of the API ----------------------------------------------------------------------------------

REQUESTS = Metric("tradeactors_http_requests", "counter", "Requests", ("method", "route", "status"))
REQUEST_SECONDS = Metric(
    "tradeactors_http_request_seconds", "histogram", "Time until the answer was complete", ("method", "route")
)
RECOVERED = Metric("tradeactors_recovered_runs", "counter", "Runs that a sweep gave an actor again")
SWEEP_FAILURES = Metric(
    "tradeactors_recovery_failures", "counter", "Sweeps that failed, and runs that a sweep could not recover"
)

ALL: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
BY_NAME = {metric.name: metric for metric in ALL}
