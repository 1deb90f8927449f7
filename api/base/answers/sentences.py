"""The sentence for a field that pydantic refuses: what to send instead, in the words of a trader."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

log = structlog.stdlib.get_logger(__name__)

NOT_ACCEPTABLE = "is not acceptable here: see the description of this request"

_Limits = Mapping[str, Any]


def _characters(limits: _Limits) -> str:
    least, most = limits.get("min_length"), limits.get("max_length")
    if least == 1:
        return "must not be empty"
    return f"must have at least {least} characters" if least is not None else f"must have at most {most} characters"


def _entries(limits: _Limits) -> str:
    least, most = limits.get("min_length"), limits.get("max_length")
    return f"must have at least {least} entries" if least is not None else f"must have at most {most} entries"


def _choices(limits: _Limits) -> str:
    return f"must be {limits['expected'].replace(chr(39), '')}"


_SENTENCES: Mapping[str, Callable[[_Limits], str]] = {
    "missing": lambda _: "must be given",
    "extra_forbidden": lambda _: "has a field that is not known here: leave it out",
    "json_invalid": lambda _: "is not valid JSON",
    "model_attributes_type": lambda _: "must be a JSON object, sent as application/json",
    "string_type": lambda _: "must be text",
    "string_unicode": lambda _: "must be valid Unicode text",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "must be a smaller number",
    "int_from_float": lambda _: "must be a whole number",
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "finite_number": lambda _: "must be a number",
    "uuid_parsing": lambda _: "must be an id, as answers give it",
    "uuid_type": lambda _: "must be an id, as answers give it",
    "list_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be a JSON object",
    "model_type": lambda _: "must be a JSON object",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "greater_than": lambda limits: f"must be greater than {limits['gt']}",
    "greater_than_equal": lambda limits: f"must be at least {limits['ge']}",
    "less_than": lambda limits: f"must be less than {limits['lt']}",
    "less_than_equal": lambda limits: f"must be at most {limits['le']}",
    "literal_error": _choices,
    "enum": _choices,
    "too_short": _entries,
    "too_long": _entries,
    "string_too_short": _characters,
    "string_too_long": _characters,
}
"""By pydantic's name of the fault (docs.pydantic.dev, "Validation Errors"), from its limits."""


def sentence_of_fault(fault: Mapping[str, Any]) -> str:
    """What the field must be, without what was sent; `fault` is one of `ValidationError.errors()`.

    A rule of ours (`ValueError`) brings its own sentence. A fault that is not known here is logged, and gets a sentence
    without the library's words.
    """
    kind, limits = str(fault["type"]), fault.get("ctx", {})
    if kind == "value_error":
        return str(limits["error"])
    if kind not in _SENTENCES:
        log.warning("fault_without_sentence", kind=kind)
        return NOT_ACCEPTABLE
    return _SENTENCES[kind](limits)
