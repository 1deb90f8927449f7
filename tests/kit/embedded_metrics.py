"""CloudWatch's side of the embedded metric format: the metrics that it takes out of a line, or why it takes none.

Source: "Specification: Embedded metric format" and "MetricDatum" of Amazon's documentation, read November 2026. Its
JSON schema is the first part of what is checked, what it says in words the second. No server stands in for it: moto's
keeps the lines of a log and takes no metric out of them.
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jsonschema import Draft7Validator  # type: ignore[import-untyped]

MOST_BYTES = 256 * 1024
MOST_METRICS = 100
OLDEST, NEWEST = timedelta(days=14), timedelta(hours=2)
"""How far before and after its arrival the instant of an event may be."""

_AMOUNTS = ("Bytes", "Bits")
_SCALES = ("", "Kilo", "Mega", "Giga", "Tera")
_OF_DATA = [(scale + amount.lower()).capitalize() for scale in _SCALES for amount in _AMOUNTS]
UNITS = frozenset(
    ["Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None", *_OF_DATA]
    + [f"{unit}/Second" for unit in _OF_DATA]
)
_NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "properties": {
                            "Namespace": _NAME,
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "maxItems": 30,
                                    "items": {"type": "string", "minLength": 1, "maxLength": 250},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "properties": {
                                        "Name": _NAME,
                                        "Unit": {"enum": sorted(UNITS)},
                                        "StorageResolution": {"enum": [1, 60]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
_OF_DIRECTIVES = frozenset({"Namespace", "Dimensions", "Metrics"})
_OF_DEFINITIONS = frozenset({"Name", "Unit", "StorageResolution"})
_OF_NAMESPACES = re.compile(r"[A-Za-z0-9._/#:-]{1,255}")


class NotEmbedded(Exception):
    """CloudWatch would take no metric out of the line; the message says why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One metric as CloudWatch has it."""

    namespace: str
    name: str
    unit: str
    value: float
    dimensions: tuple[tuple[str, str], ...]
    at: datetime


def taken_from(line: str, arrived: datetime) -> list[Taken]:
    """The metrics of a line that arrives at this instant.

    Raises:
        NotEmbedded: the line breaks a rule of the format.
    """
    if len(line.encode()) > MOST_BYTES:
        raise NotEmbedded("the line is too long")
    try:
        root = json.loads(line, parse_constant=_no_number)
    except ValueError as fault:
        raise NotEmbedded(f"the line is not one JSON object: {fault}") from fault
    for error in Draft7Validator(SCHEMA).iter_errors(root):
        raise NotEmbedded(f"{error.json_path}: {error.message}")
    at = datetime.fromtimestamp(root["_aws"]["Timestamp"] / 1000, UTC)
    if not arrived - OLDEST <= at <= arrived + NEWEST:
        raise NotEmbedded(f"{at} is too far from {arrived}")
    return [metric for directive in root["_aws"]["CloudWatchMetrics"] for metric in _of(directive, root, at)]


def _of(directive: dict[str, Any], root: dict[str, Any], at: datetime) -> list[Taken]:
    if directive.keys() - _OF_DIRECTIVES:
        raise NotEmbedded("a directive has members that are not known")
    if not _OF_NAMESPACES.fullmatch(directive["Namespace"]) or directive["Namespace"].startswith("AWS/"):
        raise NotEmbedded("the namespace has letters that are not allowed, or is Amazon's")
    if len(directive["Metrics"]) > MOST_METRICS:
        raise NotEmbedded("a directive has too many metrics")
    names = [definition["Name"] for definition in directive["Metrics"]]
    if len(set(names)) < len(names):
        raise NotEmbedded("a metric is defined twice")
    dimensions = [tuple((key, _text(root, key)) for key in keys) for keys in directive["Dimensions"]]
    return [
        Taken(directive["Namespace"], definition["Name"], definition.get("Unit", "None"), value, of, at)
        for definition in directive["Metrics"]
        for value in _numbers(root, definition)
        for of in dimensions
    ]


def _numbers(root: dict[str, Any], definition: dict[str, Any]) -> list[float]:
    if definition.keys() - _OF_DEFINITIONS:
        raise NotEmbedded("a definition has members that are not known")
    name = definition["Name"]
    found = root.get(name)
    values = found if isinstance(found, list) else [found]
    if len(values) > MOST_METRICS:
        raise NotEmbedded(f"{name} has too many values")
    return [_number(name, value) for value in values]


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotEmbedded(f"{name} is no number")
    return float(value)


def _text(root: dict[str, Any], key: str) -> str:
    value = root.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 1024:
        raise NotEmbedded(f"the dimension {key} is no text")
    return value


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
