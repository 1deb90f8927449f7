"""The second dimension of the matrix: what happens outside TradeActors, at which step of a run, and who is killed then.

Not the whole product: every happening is crossed with every step at which it can happen and with every kill that
concerns it, and every step with every kill, each pair at least once (`outside_cases`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.tables import Pair, with_every_pair


class Happening(StrEnum):
    """What the trader, the broker, the exchange or the feed does."""

    SOLD = "sold by hand"
    SOLD_PART = "partly sold by hand"
    SOLD_OLDER = "older shares of his own sold"
    SHORT_BEFORE = "short of his own before the BUY"
    REDUCED = "our order reduced in the app"
    CANCELLED = "our order cancelled in the app"
    REPRICED = "our order re-priced in the app"
    SALE_WAITS = "a sell order of his own waits"
    SQUARED_OFF = "squared off by the broker"
    LOCKED = "locked at the lower circuit"
    LAGS = "the feed lags 6 s"
    CLOCK = "the stamps are 4 s ahead"
    AWAY = "the feed is away at the touch"
    ODD_TEXT = "an odd byte in a refusal"
    SECOND_USER = "another user connects the account"
    CLOSES = "the market closes for a minute"


class Step(StrEnum):
    """Where the run stands as it happens."""

    BEFORE = "before the BUY"
    ENTERING = "BUY in work"
    GUARDING = "guarding"
    TOUCHED = "exit sent"
    PARKED = "exit parked"
    FAILED = "exit refused"


class Kill(StrEnum):
    """What dies by SIGKILL just before it happens."""

    NOBODY = "nobody"
    STRATEGY = "strategy"
    EXECUTION = "execution"
    FEED = "feed"
    LEDGER = "ledger"
    ALL = "all actors"


_S, _H, _K = Step, Happening, Kill
_EXITS = (_S.TOUCHED, _S.PARKED, _S.FAILED)

STEPS: Mapping[Happening, tuple[Step, ...]] = {
    _H.SOLD: (_S.GUARDING, _S.ENTERING, *_EXITS),
    _H.SOLD_PART: (_S.GUARDING, *_EXITS),
    _H.SOLD_OLDER: (_S.BEFORE, _S.GUARDING, *_EXITS),
    _H.SHORT_BEFORE: (_S.BEFORE,),
    _H.REDUCED: (_S.ENTERING, _S.PARKED),
    _H.CANCELLED: (_S.ENTERING, _S.PARKED, _S.TOUCHED),
    _H.REPRICED: (_S.ENTERING, _S.PARKED),
    _H.SALE_WAITS: (_S.GUARDING, _S.PARKED, _S.FAILED),
    _H.SQUARED_OFF: (_S.GUARDING, *_EXITS),
    _H.LOCKED: (_S.GUARDING, _S.FAILED),
    _H.LAGS: (_S.BEFORE, _S.GUARDING),
    _H.CLOCK: (_S.BEFORE, _S.GUARDING),
    _H.AWAY: (_S.GUARDING,),
    _H.ODD_TEXT: (_S.ENTERING, _S.TOUCHED, _S.FAILED),
    _H.SECOND_USER: (_S.BEFORE, _S.GUARDING, _S.PARKED),
    _H.CLOSES: (_S.GUARDING,),
}
"""At which steps each can happen. A trader cannot sell what is not bought, or edit an order that is not there."""

OF_THE_FEED = frozenset({_H.LAGS, _H.CLOCK, _H.AWAY})
"""What all who trade on the exchange feel: such a case has the stack to itself."""

_NOT_ON_THE_WAY = {
    **{kind: frozenset({_K.EXECUTION, _K.LEDGER}) for kind in OF_THE_FEED},
    _H.CLOSES: frozenset({_K.FEED, _K.LEDGER}),
}
"""Who has no part in carrying a price, or in what is done about it."""


@dataclass(frozen=True)
class OutsideCase:
    """One case of the second table."""

    happening: Happening
    step: Step
    kill: Kill

    @property
    def name(self) -> str:
        """`guarding: sold by hand, kill: feed`."""
        return f"{self.step}: {self.happening}" + (f", kill: {self.kill}" if self.kill is not Kill.NOBODY else "")

    @property
    def alone(self) -> bool:
        """Whether it touches every account."""
        return self.happening in OF_THE_FEED

    @property
    def needs_hours(self) -> bool:
        """Whether it needs a stack whose market closes."""
        return self.happening is Happening.CLOSES

    @property
    def shakes(self) -> bool:
        """Whether something dies that other cases rely on too."""
        return self.kill not in {Kill.NOBODY, Kill.STRATEGY}


def outside_cases() -> list[OutsideCase]:
    """Few cases that have every pair; the same at every call."""
    return with_every_pair(possible_outside(), _pairs)


def possible_outside() -> Iterator[OutsideCase]:
    """Every case that could be run."""
    for happening, steps in STEPS.items():
        for step in steps:
            for kill in Kill:
                if kill not in _NOT_ON_THE_WAY.get(happening, ()):
                    yield OutsideCase(happening, step, kill)


def _pairs(case: OutsideCase) -> set[Pair]:
    return {(case.happening, case.step), (case.happening, case.kill), (case.step, case.kill)}


OUTSIDE_CUT = (
    "exit parked: sold by hand",
    "exit sent: sold by hand",
    "guarding: older shares of his own sold, kill: execution",
    "before the BUY: short of his own before the BUY, kill: strategy",
    "guarding: locked at the lower circuit",
    "BUY in work: our order reduced in the app",
)
"""What `make test` runs of it."""


def outside_case(name: str) -> OutsideCase:
    """A case by its name, whether it is among the chosen ones or not."""
    return next(case for case in possible_outside() if case.name == name)
