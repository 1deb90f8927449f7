"""JSON that means one thing only. Python's reader takes the last of two equal names, and words that are not JSON."""

import json
from typing import Any

from fastapi import Request

from api.base.errors import InvalidField


async def strict_json(request: Request) -> None:
    """Refuse a body in which a name stands twice, or NaN or Infinity: what checks it before us may read it otherwise.

    Raises:
        InvalidField: 422 on "body".
    """
    try:
        json.loads(await request.body(), object_pairs_hook=_once_each, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # not sent as JSON; what says that it is and is not was refused before
        return


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise InvalidField("body", "has a field twice: keep one of the two")
    return names


def _no_constant(_word: str) -> None:
    raise InvalidField("body", "is not valid JSON: NaN and Infinity are no numbers")
