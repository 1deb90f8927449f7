"""What the routes of every room are given: what the process has opened, and which part of a list is meant."""

from typing import Annotated, Any, ClassVar

from fastapi import Query, Request
from pydantic import Field

from api.base.fields import Request as RequestFields


async def resources(request: Request) -> Any:
    """What the lifespan opened (`api.bootstrap.Resources`). Each room says in a protocol what it uses of it.

    Async, like all here: FastAPI sends plain functions to a thread.
    """
    return request.app.state.resources


class PageQuery(RequestFields):
    """Which part of a longer list. `rows_each`: how many rows are read for one of its items."""

    rows_each: ClassVar[int] = 1

    limit: int = Field(default=50, ge=1, le=200)
    offset: int = Field(default=0, ge=0, le=1_000_000)


Paging = Annotated[PageQuery, Query()]
