"""What was read of a deployment at one instant, each part or why it could not be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from persistence.database.operator_view import OperatorView, RunSeen
from persistence.mirror.presence import Presence

if TYPE_CHECKING:
    from api.strategies.schemas import Guard


@dataclass(frozen=True, slots=True)
class Stream:
    """One connection of a broker's price stream: `word` is live, late or down."""

    connection: str
    word: str
    lag_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorView:
    """What Redis shows. `guards`: of each strategy that holds something; one that Redis does not show is not in it.

    `queued`: events on `queue:orders`. `buried`: events that name no order of ours. `emptied`: the
    addresses of nodes on which no actor begins.
    """

    guards: "Mapping[int, Guard]" = field(default_factory=dict)
    feeds: Mapping[str, Sequence[Stream]] = field(default_factory=dict)
    presences: Sequence[Presence] = ()
    queued: int = 0
    buried: int = 0
    emptied: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that was read; `at` is in the zone of the exchange.

    `database`, `mirror`: None if PostgreSQL, or Redis, did not answer; then `runs` are those that the other one shows.
    `other_schema`: PostgreSQL answered, and its tables are not those of this version.
    `feeds_due`: brokers whose stream is to be up at this hour. `expected`: the names of the pools' actors.
    `head_answers`: whether Ray's control port takes connections; None if its address is not known. `newest_revision`:
    of the schema that this version needs. `free_bytes`: on the disk of the embedded parts, if there are any here.
    """

    at: datetime
    database: OperatorView | None
    mirror: MirrorView | None
    other_schema: bool = False
    runs: Sequence[RunSeen] = ()
    brokers: Sequence[str] = ("paper",)
    feeds_due: frozenset[str] = frozenset({"paper"})
    expected: Sequence[str] = ()
    head_answers: bool | None = None
    newest_revision: str | None = None
    free_bytes: int | None = None

    @property
    def holding(self) -> list[RunSeen]:
        """The runs that hold shares."""
        return [run for run in self.runs if run.holds]
