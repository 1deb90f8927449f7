"""The third dimension of the matrix: who dies, or what happens, in the very instant in which a stop-loss is touched.

Not the whole product: each step between arming and fill is crossed with every process that can die at it, and every
process with every other, each pair at least once (`guards_cases`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from tests.chaos.tables import Pair, with_every_pair


class Victim(StrEnum):
    """Whose process dies by SIGKILL."""

    STRATEGY = "strategy"
    ROUTER = "router"
    LEDGER = "ledger"
    FEED = "feed"
    EXECUTION = "execution"


class Event(StrEnum):
    """What else happens in the instant of the touch."""

    NOTHING = "nothing else"
    FEED_LOST = "the feed's stream lost"
    ACCOUNTS_LOST = "the accounts' streams lost"
    ACCOUNT_RESET = "the account's stream reset"
    ALL_LOST = "all streams lost and back"
    NO_MARKET_DATA = "no market data on the accounts' streams, strategy frozen"
    STOPPED = "STOP pressed"
    SOLD_ON_TIME = "timed SELL due"
    LOWERED = "stop-loss lowered"
    RAISED = "stop-loss raised"
    SOLD_BY_HAND = "sold by hand"


GUARDING, TOUCHED, RESTING = "guarding", "touched", "exit rests"
"""Steps at which processes are killed from outside: just before the price falls, just after, and once the exit is at
the exchange and does not fill yet."""

POINTS: Mapping[str, Victim] = {
    "decide.before": Victim.STRATEGY,
    "decide.after": Victim.STRATEGY,
    "claim.before": Victim.EXECUTION,
    "claim.after": Victim.EXECUTION,
    "send.before": Victim.EXECUTION,
    "send.after": Victim.EXECUTION,
    "reply.after": Victim.EXECUTION,
    "record.before": Victim.LEDGER,
    "record.after": Victim.LEDGER,
}
"""Failpoints on the way from the touch to the fill, and who comes by there."""

WITHIN_S, WITHIN_KILLS_OF_EXECUTION_S, WITHIN_A_MOVE_S, WITHIN_AN_OUTAGE_S = 1.0, 6.0, 2.0, 6.0
"""From the touch to the exit: as long as one guard stands; while Ray starts the process again that every order
leaves from; with a level that holds from the next tick on; and until streams that break come back by themselves."""


@dataclass(frozen=True)
class GuardsCase:
    """One case of the third table. `step`: one of the three above, or a failpoint; then its owner is among `killed`."""

    step: str
    killed: tuple[Victim, ...] = ()
    event: Event = Event.NOTHING

    @property
    def name(self) -> str:
        """`touched: strategy and feed killed`, `at send.after: execution killed`, `touched: STOP pressed`."""
        step = f"at {self.step}" if self.step in POINTS else self.step
        return f"{step}: {f'{self.kind} killed' if self.killed else self.event}"

    @property
    def kind(self) -> str:
        """Who dies, or what else happens: the row of the report."""
        return " and ".join(self.killed) or str(self.event)

    @property
    def within_s(self) -> float | None:
        """How long after the touch the exit may arrive; None if there need not be one."""
        if Victim.EXECUTION in self.killed:
            return WITHIN_KILLS_OF_EXECUTION_S
        if self.event is Event.SOLD_BY_HAND:
            return None
        special = {Event.RAISED: WITHIN_A_MOVE_S, Event.ALL_LOST: WITHIN_AN_OUTAGE_S}
        return special.get(self.event, WITHIN_S)


_KILLED = [*((victim,) for victim in Victim), *combinations(Victim, 2)]


def possible_guards() -> Iterator[GuardsCase]:
    """Every case that could be run."""
    for step in (GUARDING, TOUCHED, RESTING):
        yield from (GuardsCase(step, killed) for killed in _KILLED)
    for point, owner in POINTS.items():
        yield from (GuardsCase(point, killed) for killed in _KILLED if owner in killed and _is_reached(point, killed))
    yield from (GuardsCase(TOUCHED, event=event) for event in Event)


def _is_reached(point: str, killed: tuple[Victim, ...]) -> bool:
    """A strategy whose router has died hears of no price before execution has sold: there is nothing to decide."""
    return not (point == "decide.before" and Victim.ROUTER in killed)


def guards_cases() -> list[GuardsCase]:
    """Few cases that have every pair; the same at every call."""
    return with_every_pair(possible_guards(), pairs_of)


def pairs_of(case: GuardsCase) -> set[Pair]:
    """Each who dies with the step, alone and with others, and all who die with each other; or the event."""
    if not case.killed:
        return {(case.step, case.event)}
    if case.step not in POINTS and len(case.killed) == 1:
        return {(case.step, case.killed), (case.step, case.killed[0])}
    return {*((case.step, victim) for victim in case.killed), (case.killed[0], case.killed[-1])}


GUARDS_CUT = (
    "touched: the feed's stream lost",
    "touched: no market data on the accounts' streams, strategy frozen",
    "guarding: strategy and feed killed",
    "guarding: execution killed",
    "at decide.after: strategy killed",
    "at send.after: strategy and execution killed",
)
"""What `make test` runs of it."""


def guards_case(name: str) -> GuardsCase:
    """A case by its name, whether it is among the chosen ones or not."""
    return next(case for case in possible_guards() if case.name == name)
