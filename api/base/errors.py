"""Errors as the app sees them: `{"detail": "<sentence>", "code": "<stable_snake_case>"}`, never more than it may know.

A 422 adds `errors`, one `{"field", "message"}` for each field at fault, and `suggestions`, what may have been meant.
Submitted values are never echoed, but for a symbol that is written as symbols are.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from broker.errors import ExpiredToken


class FieldProblem(BaseModel):
    """One field of the request that cannot be accepted."""

    field: str = Field(examples=["stop_loss"])
    message: str = Field(examples=["must be greater than 0"])


class Problem(BaseModel):
    """Body of every error."""

    detail: str = Field(examples=["No such strategy"])
    code: str = Field(examples=["strategy_not_found"])


class InvalidRequest(Problem):
    """Body of a 422."""

    errors: list[FieldProblem]
    suggestions: list[str] = Field(
        default=[],
        description="Symbols of the broker's list that may have been meant, the likeliest first.",
        examples=[["NSE:INFY"]],
    )


class ApiError(Exception):
    """An answer other than success, with the sentence and the code that the app gets."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})


class ClientLeft(Exception):
    """The connection of the request has ended before its work was begun: no answer can be given."""


class InvalidField(Exception):
    """A field whose fault only shows when it is compared with what the server knows (row C1)."""

    def __init__(
        self, field: str, message: str, code: str = "invalid_request", suggestions: Sequence[str] = ()
    ) -> None:
        super().__init__(f"{field}: {message}")
        self.suggestions = tuple(suggestions)
        self.field = field
        self.message = message
        self.code = code


def strategy_not_found() -> ApiError:
    """Also the answer for another tenant's strategy (row K1)."""
    return ApiError(404, "strategy_not_found", "No such strategy")


def broker_not_connected() -> ApiError:
    """Row B3."""
    return ApiError(409, "broker_not_connected", "Connect your broker first")


def broker_token_expired() -> ApiError:
    """409 and not the 401 of `/broker/connect`: what the app sent is in order, what the server holds is not."""
    return ApiError(409, "broker_token_expired", str(ExpiredToken()))


def unauthorized(code: str, detail: str) -> ApiError:
    """401 with the challenge that RFC 6750 asks for."""
    return ApiError(401, code, detail, {"WWW-Authenticate": "Bearer"})


def overloaded() -> ApiError:
    """503 of a process that has more to do than it can."""
    headers = {"Retry-After": "1"}
    return ApiError(503, "overloaded", "The service has too much to do right now. Please try again.", headers)
