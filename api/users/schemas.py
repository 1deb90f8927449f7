"""`/auth`: requests and answers (rows A1, A2)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from api.base.email_addresses import Email, NewEmail
from api.base.fields import Request, Secret
from api.users.passwords.rules import LIKE_ADDRESS, NewPassword, Password, resembles


class RegisterRequest(Request):
    """Row A1."""

    email: NewEmail
    password: NewPassword
    invitation: Secret | None = Field(
        default=None,
        description="the code of the operator's invitation, needed where REGISTRATION is `invited`",
    )

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: SecretStr, others: ValidationInfo) -> SecretStr:
        if resembles(password.get_secret_value(), others.data.get("email", "")):
            raise ValueError(LIKE_ADDRESS)
        return password


class LoginRequest(Request):
    """Row A2."""

    email: Email
    password: Password


class RefreshRequest(Request):
    """A refresh token, which is good once. It is left out by a browser that keeps it in a cookie."""

    refresh_token: Secret | None = None


class PasswordChangeRequest(Request):
    """The password that was, and the one that shall be."""

    current_password: Password
    new_password: NewPassword


class PasswordResetRequest(Request):
    """A code of the operator's, which is good once, and the password that shall be."""

    code: Secret
    new_password: NewPassword


class ConfirmRequest(Request):
    """The password once more, for what an access token alone must not do."""

    password: Password


class DeleteAccountRequest(Request):
    """The password once more: an access token alone must not be enough to delete an account."""

    password: Password


class LoginAnswer(BaseModel):
    """Tokens of a login; `expires_in` seconds for the access token."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6750's word, not a secret
    expires_in: int = Field(examples=[900])
    refresh_token: str | None = Field(description="Null where it was set as a cookie (`X-Session: cookie`).")


class ValidateAnswer(BaseModel):
    """Row A2: whose token it is and how long it lasts."""

    valid: Literal[True] = True
    user_id: int
    email: str
    expires_at: datetime


class ActivityEntry(BaseModel):
    """One line of the audit log."""

    at: datetime
    action: str = Field(examples=["login"])
    subject: str = Field(description="What it was done to, such as the id of a strategy; may be empty.", examples=["1"])
    address: str | None = Field(
        description="The network address of the caller, if it is known.", examples=["192.0.2.1"]
    )


class ActivityList(BaseModel):
    """Part of the user's lines, newest first."""

    activity: list[ActivityEntry]
    total: int = Field(description="How many there are in all, counted up to 1000.")
    total_capped: bool = Field(description="Whether there are more than `total`.")
    limit: int
    offset: int


class ConfirmAnswer(BaseModel):
    """The password was right."""

    confirmed_until: datetime


class LoginEntry(BaseModel):
    """A login that goes on."""

    login_id: int
    current: bool = Field(description="Whether it is the one that asks.")
    started_at: datetime
    last_used_at: datetime = Field(description="When its tokens were last renewed, at most every few minutes.")
    address: str | None = Field(
        description="The network that its tokens last went to: an IPv4 address, or a /64 of IPv6.",
        examples=["192.0.2.1"],
    )
    user_agent: str = Field(description="What the program called itself at the login, cut short; may be empty.")


class LoginList(BaseModel):
    """Part of the user's logins, the one used last first."""

    logins: list[LoginEntry]
    total: int = Field(description="How many there are in all, counted up to 1000.")
    total_capped: bool = Field(description="Whether there are more than `total`.")
    limit: int
    offset: int


class LoginsEnded(BaseModel):
    """How many logins have ended."""

    ended: int
