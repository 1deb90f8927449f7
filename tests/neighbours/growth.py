"""How much a tenant at his limits may add to the tables: the bounds of the documents, and what was counted."""

from collections.abc import Mapping
from dataclasses import dataclass

from config.settings import Settings
from persistence.database.repositories.kept_answers import MOST_KEPT
from persistence.mirror.scripts import EVENTS_KEPT

BURST_MINUTES = 5 / 60
"""What may come at once besides (docs/api.md, How much may a user ask for?)."""

STARTS_AT_ONCE = 60
CONNECT_FAILURES, CONNECT_WINDOW_S = 10, 300
LINES_OF_RUN, INTENTS_OF_RUN, NOTICES_OF_RUN = 12, 2, 3
"""Most lines of a run that is bought and sold without trouble, moves of its stop-loss left out; its intents, and
its notices."""

STREAM_SLACK = 200
"""Redis cuts a stream by whole nodes."""


@dataclass(frozen=True)
class Bound:
    """The most of something, by which document; `before` is what was there already, where all of it counts."""

    what: str
    most: int
    source: str
    counts_all: bool = False


@dataclass(frozen=True)
class Grown:
    """A bound and what was counted."""

    bound: Bound
    before: int
    after: int

    @property
    def counted(self) -> int:
        """What is compared with the bound."""
        return self.after if self.bound.counts_all else self.after - self.before

    @property
    def kept(self) -> bool:
        """Whether the bound was kept."""
        return self.counted <= self.bound.most


def bounds(settings: Settings, noisy_s: float, since_s: float, open_runs: int, runs_begun: int) -> list[Bound]:
    """The bounds for `noisy_s` seconds at the limits, of which `open_runs` runs had their stop-loss moved.

    `since_s`: how long ago the first of them was. Between two spells the STARTs that may come at once are won back.
    `runs_begun`: how many runs were really begun, which bounds what each of them leaves.
    """
    minutes = noisy_s / 60
    asked = round(settings.api_rate_per_minute * (minutes + BURST_MINUTES))
    without_token = round(settings.auth_rate_per_minute * (minutes + BURST_MINUTES))
    starts = STARTS_AT_ONCE + round(settings.starts_per_minute * since_s / 60)
    windows = int(noisy_s // CONNECT_WINDOW_S) + 2  # a spell may begin in the middle of a window
    return [
        Bound("strategies", settings.max_strategies, "settings.md, MAX_STRATEGIES", counts_all=True),
        Bound("kept_answers", MOST_KEPT, "operations.md, Records: 1000 of a user", counts_all=True),
        Bound("runs", starts, "api.md: 60 STARTs at once, then STARTS_PER_MINUTE"),
        Bound("intents", INTENTS_OF_RUN * (runs_begun + open_runs), "operations.md, Records: STARTs and orders"),
        Bound(
            "order_logs",
            round(open_runs * (noisy_s + 2)) + LINES_OF_RUN * (runs_begun + open_runs),
            "api.md, STOP_LOSS_MOVED: one line for all moves of a second",
        ),
        # a unit of work for each request, and as many STOPs besides, of which each may leave a line
        Bound("audit_log", 2 * asked + without_token, "api.md: API_RATE_PER_MINUTE, twice, and AUTH_RATE_PER_MINUTE"),
        Bound(
            "audit_log: broker_connect_failed",
            (CONNECT_FAILURES + 1) * windows,
            "security.md: ten failures in five minutes, and one line in a window",
        ),
        Bound(
            "notifications",
            NOTICES_OF_RUN * (runs_begun + open_runs),
            "api.md, GET /notifications: one notice for each fact",
        ),
        Bound(
            "notification_deliveries",
            NOTICES_OF_RUN * (runs_begun + open_runs),
            "api.md: one delivery of a notice to each channel",
        ),
        Bound("logins", without_token, "settings.md, AUTH_RATE_PER_MINUTE"),
        Bound("refresh_tokens", 2 * without_token, "settings.md, AUTH_RATE_PER_MINUTE: logins and their renewals"),
        Bound("events of Redis", EVENTS_KEPT + STREAM_SLACK, "operations.md, Records: about 1000", counts_all=True),
    ]


def grown(before: Mapping[str, int], after: Mapping[str, int], limits: list[Bound]) -> list[Grown]:
    """Each bound with what was counted; a thing that was not counted is an error."""
    return [Grown(bound, before[bound.what], after[bound.what]) for bound in limits]
