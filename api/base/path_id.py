"""Ids in paths. What is no id there is no path of ours, so that `PATCH /strategy/list` is a wrong method (405)."""

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
