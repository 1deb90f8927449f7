"""The routes that the noisy tenant must have been served: those of docs/openapi.json, so that a new one takes part."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"

CARRIED_OUT = {"strategy_closed_by_trader": 409, "strategy_held_by_trader": 409}
"""Answers from 400 on that count as served: to contradict the trader, the account has to be read first."""

STOP = "stop_strategy"
REFUSED = (408, 429)
"""And all from 500 on: a STOP that was not looked at. (0: the connection was lost.)"""

Answers = Mapping[str, Mapping[int, int]]
"""How many answers of each status an operation gave."""


@dataclass(frozen=True)
class Operation:
    """One operation of the API. `path` has its ids in braces."""

    name: str
    method: str
    path: str


def operations(document: Path = DOCUMENT) -> dict[str, Operation]:
    """The operations of the committed description, by their ids."""
    paths = json.loads(document.read_text(encoding="utf-8"))["paths"]
    found = [
        Operation(operation["operationId"], method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]
    return {operation.name: operation for operation in found}


def unserved(wanted: Iterable[str], answers: Answers) -> list[str]:
    """The operations that never gave the noisy tenant what they are for."""
    return [name for name in wanted if not any(_served(name, status) for status in answers.get(name, {}))]


def _served(name: str, status: int) -> bool:
    return 200 <= status < 400 or CARRIED_OUT.get(name) == status


def refused_stops(answers: Mapping[int, int]) -> dict[int, int]:
    """The answers to STOP that refused it, and how many there were."""
    return {status: count for status, count in answers.items() if count and (status in {0, *REFUSED} or status >= 500)}


def added(parts: Iterable[Answers]) -> dict[str, dict[int, int]]:
    """The answers of several spells together."""
    total: dict[str, dict[int, int]] = {}
    for part in parts:
        for name, counts in part.items():
            mine = total.setdefault(name, {})
            for status, count in counts.items():
                mine[status] = mine.get(status, 0) + count
    return total
