"""`/auth`: requests and answers (rows A1, A2)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.fields import Email, NewPassword, Password, Request, Secret


class RegisterRequest(Request):
    """Row A1."""

    email: Email
    password: NewPassword


class LoginRequest(Request):
    """Row A2."""

    email: Email
    password: Password


class RefreshRequest(Request):
    """A refresh token, which is good once."""

    refresh_token: Secret


class LoginAnswer(BaseModel):
    """Tokens of a login; `expires_in` seconds for the access token."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6750's word, not a secret
    expires_in: int = Field(examples=[1800])
    refresh_token: str


class ValidateAnswer(BaseModel):
    """Row A2: whose token it is and how long it lasts."""

    valid: Literal[True] = True
    user_id: int
    email: str
    expires_at: datetime
