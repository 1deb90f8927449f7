"""`/broker`: requests and answers (rows B1, B2)."""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, model_validator

from api.base.fields import Request
from broker.proxy import Proxy

BrokerName = Literal["kite", "paper"]

PRINTABLE = "^[!-~]([ -~]*[!-~])?$"
"""Printable ASCII without spaces at the ends: all that a header and a form field can carry unchanged."""

NO_EQUALS = "^[!-<>-~]([ -<>-~]*[!-<>-~])?=*$"
"""The same without = but at the end: what a broker calls a token is no part of an address."""

PROXY_PATTERN = '^http://([!"$-.0->A-Z\\[-~]+@)?([A-Za-z0-9_.-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}/?$'
"""The shape of `http://[user:password@]host:port`; `Proxy.parse` knows it exactly."""

_MAX_LENGTH = 256


def _check_printable(text: str) -> str:
    if len(text) > _MAX_LENGTH or not re.fullmatch(PRINTABLE, text):
        raise ValueError(f"must be 1 to {_MAX_LENGTH} letters, digits or signs of ASCII, without spaces around them")
    return text


def _check_secret(secret: SecretStr) -> SecretStr:
    _check_printable(secret.get_secret_value())
    return secret


def _check_proxy(secret: SecretStr) -> SecretStr:
    Proxy.parse(secret.get_secret_value())
    return secret


def _check_token(secret: SecretStr) -> SecretStr:
    # As people copy it: the address that the browser was led to, or a part of it.
    if not re.fullmatch(NO_EQUALS, secret.get_secret_value()):
        raise ValueError("must be the token alone: of an address, what stands between request_token= and the next &")
    return secret


_SCHEMA = {"minLength": 1, "maxLength": _MAX_LENGTH, "pattern": PRINTABLE}
BrokerSecret = Annotated[SecretStr, AfterValidator(_check_secret), Field(json_schema_extra=dict(_SCHEMA))]
_TOKEN_SCHEMA = _SCHEMA | {"pattern": NO_EQUALS}
Token = Annotated[BrokerSecret, AfterValidator(_check_token), Field(json_schema_extra=_TOKEN_SCHEMA)]
ApiKey = Annotated[str, AfterValidator(_check_printable), Field(json_schema_extra=dict(_SCHEMA))]

ProxyUrl = Annotated[
    SecretStr,
    AfterValidator(_check_secret),
    AfterValidator(_check_proxy),
    Field(json_schema_extra=_SCHEMA | {"pattern": PROXY_PATTERN}),
]


class BrokerConnectRequest(Request):
    """Row B1: the key pair, and an access token or the request token of a login just made.

    A user who is connected to the broker already may leave out `api_key` and `api_secret`.
    """

    broker: BrokerName | None = Field(
        default=None, description="default: the connected one if `api_key` is left out, else the first that is offered"
    )
    api_key: BrokerSecret | None = Field(default=None, examples=["paper"], description="as the broker shows it")
    api_secret: BrokerSecret | None = Field(
        default=None, examples=["paper-secret"], description="as the broker shows it"
    )
    access_token: Token | None = Field(
        default=None, examples=["paper-token"], description="of a login at the broker that goes on"
    )
    request_token: Token | None = Field(
        default=None, description="of a login at the broker that was just made, good once"
    )
    proxy_url: ProxyUrl | None = Field(
        default=None,
        examples=[None],
        description="an HTTP proxy that everything sent to the broker for this account goes through, "
        "`http://[user:password@]host:port`; left out: as it was for this `api_key`; null: none",
    )

    @model_validator(mode="after")
    def _one_token(self) -> "BrokerConnectRequest":
        if (self.access_token is None) == (self.request_token is None):
            raise ValueError("needs either access_token or request_token")
        return self


class BrokerConnectAnswer(BaseModel):
    """The broker has accepted the credentials."""

    broker_connected: Literal[True] = True
    broker: str
    broker_user_id: str


class BrokerLoginQuery(Request):
    """Which broker to log in at, with which app."""

    broker: BrokerName | None = None
    api_key: ApiKey | None = Field(default=None, description="default: that of the connection")
    return_to: Literal["app"] | None = Field(
        default=None, alias="return", description="`app`: the login comes back to this server, which connects it"
    )


class BrokerLoginAnswer(BaseModel):
    """Open `login_url` in a browser; the broker sends it back to the redirect URL of the API key.

    `redirect_url` is what to register there, so that logins come back to this server. `expires_at`: until when this one
    may come back; null without `return=app`.
    """

    login_url: str = Field(examples=["https://kite.zerodha.com/connect/login?api_key=abcd1234&v=3"])
    broker: BrokerName
    redirect_url: str = Field(examples=["https://api.example.com/broker/callback"])
    expires_at: datetime | None = None


class BrokerLoginLink(BaseModel):
    """A link for a message to the user."""

    login_link: str
    expires_at: datetime


class BrokerStatusAnswer(BaseModel):
    """The user's connection; everything but the first is null without one."""

    broker_connected: bool
    broker: str | None = None
    broker_user_id: str | None = None
    api_key_hint: str | None = Field(
        default=None, description="the last four characters of the API key; empty if it has fewer than eight"
    )
    connected_at: datetime | None = None
    token_obtained_at: datetime | None = None
    token_age_s: int | None = None
    token_expires_at: datetime | None = None
    token_expired: bool | None = None
    proxy: str | None = Field(default=None, description="host and port of the proxy of the connection")
