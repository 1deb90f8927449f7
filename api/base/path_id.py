"""Ids in paths. A segment that is no positive integer does not match: `PATCH /strategy/list` is 405, not 422."""

from typing import Annotated

from fastapi import Path
from starlette.convertors import Convertor, register_url_convertor

from api.base.fields import MAX_ID

PathId = Annotated[int, Path(gt=0, le=MAX_ID, examples=[1])]
"""The parameter of a path with `{…:id}`."""


class _IdConvertor(Convertor[int]):
    regex = "[1-9][0-9]{0,15}"  # as many digits as MAX_ID has

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _IdConvertor())
