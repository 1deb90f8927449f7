"""The settings of the API, and of how long what it writes down is kept; part of `config.settings.Settings`."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from config.values import listening_host, public_root, split

Port = Annotated[int, Field(ge=0, le=65535)]
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")


class ApiSettings(BaseSettings):
    """Where the API listens, how much it lets a user ask for, which pages may call it, and when records end."""

    api_host: Annotated[str, AfterValidator(listening_host)] = "127.0.0.1"
    api_port: Port = 8000
    public_url: Annotated[str, AfterValidator(public_root)] = ""
    api_docs: bool | None = None
    api_rate_per_minute: int = Field(default=6000, ge=0, le=1_000_000)
    auth_rate_per_minute: int = Field(default=600, ge=0, le=1_000_000)
    starts_per_minute: int = Field(default=30, ge=0, le=100_000)
    api_requests_at_once: int = Field(default=4, ge=0, le=1000)
    api_statement_timeout_s: float = Field(default=5.0, ge=0, le=300)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()

    order_log_retention_days: int = Field(default=1827, ge=0, le=36_525)
    audit_log_retention_days: int = Field(default=1827, ge=0, le=36_525)
    login_retention_days: int = Field(default=90, ge=31, le=36_525)
    notification_retention_days: int = Field(default=90, ge=7, le=36_525)

    _split_origins = field_validator("cors_origins", mode="before")(split)

    @field_validator("cors_origins")
    @classmethod
    def _check_cors_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("must be exact origins such as https://app.example.com, without `*` and without a path")
        return value

    @property
    def public_root(self) -> str:
        """Where browsers reach the API: PUBLIC_URL, else this machine's address, which leads here from this machine."""
        return self.public_url or f"http://127.0.0.1:{self.api_port}"

    @property
    def callback_url(self) -> str:
        """Where the broker's login page leads back to; at Kite it is registered as the app's redirect URL."""
        return f"{self.public_root}/broker/callback"
