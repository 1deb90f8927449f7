"""What the tables beside the first have in common: which cases to choose, and the result of one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Case = TypeVar("Case")

Pair = tuple[object, object]


def with_every_pair(possible: Iterable[Case], pairs_of: Callable[[Case], set[Pair]]) -> list[Case]:
    """Few cases that have every pair that a possible one has, in their order; the same at every call."""
    wanted = list(possible)
    missing = {pair for case in wanted for pair in pairs_of(case)}
    chosen: list[Case] = []
    while missing:
        best = max(wanted, key=lambda case: len(missing & pairs_of(case)))
        chosen.append(best)
        missing -= pairs_of(best)
    return sorted(chosen, key=wanted.index)


@dataclass
class CaseResult(Generic[Case]):
    """The result of a case: nothing in `problems` is a pass; `untried` says why it proves nothing."""

    case: Case
    problems: list[str] = field(default_factory=list)
    untried: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Run as meant, and nothing broken."""
        return not self.problems and not self.untried
