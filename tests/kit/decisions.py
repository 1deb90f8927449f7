"""What to look for in the decisions of a step."""

from typing import TypeVar

from actors.domain.strategy.decisions import Decision, LogEvent, RaiseAlert

D = TypeVar("D", bound=Decision)


def of(decisions: tuple[Decision, ...], kind: type[D]) -> list[D]:
    return [decision for decision in decisions if isinstance(decision, kind)]


def logged(decisions: tuple[Decision, ...]) -> list[str]:
    return [log.event for log in of(decisions, LogEvent)]


def alerts(decisions: tuple[Decision, ...]) -> list[str]:
    return [alert.code for alert in of(decisions, RaiseAlert)]
