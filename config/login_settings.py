"""The settings of users and their logins; part of `config.settings.Settings`."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

Registration = Literal["open", "invited", "closed"]
"""Who may register: anyone, those whom the operator invites, or only the operator (`tradeactors add-user`)."""


class LoginSettings(BaseSettings):
    """Who may register, how long logins and their tokens last, and what the password is asked for again."""

    access_token_minutes: int = Field(default=15, ge=1, le=1440)
    login_days: int = Field(default=90, ge=1, le=3650)
    login_unused_days: int = Field(default=14, ge=1, le=3650)
    registration: Registration | None = None
    confirm_connect: Literal["other_account", "any_change"] = "other_account"

    @model_validator(mode="after")
    def _check_logins(self) -> Self:
        if self.login_unused_days > self.login_days:
            raise ValueError("TRADEACTORS_LOGIN_UNUSED_DAYS must not be above TRADEACTORS_LOGIN_DAYS.")
        return self
