"""`/broker`: requests and answers (rows B1, B2)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from api.schemas.fields import Request, Secret


class BrokerConnectRequest(Request):
    """Row B1: the key pair, and an access token or the request token of a login just made."""

    broker: Literal["kite", "paper"] | None = Field(default=None, description="default: the first that is offered")
    api_key: Secret
    api_secret: Secret
    access_token: Secret | None = None
    request_token: Secret | None = None

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


class BrokerStatusAnswer(BaseModel):
    """The user's connection; everything but the first is null without one."""

    broker_connected: bool
    broker: str | None = None
    broker_user_id: str | None = None
    api_key_hint: str | None = Field(default=None, description="the last four characters of the API key")
    connected_at: datetime | None = None
    token_obtained_at: datetime | None = None
    token_age_s: int | None = None
    token_expires_at: datetime | None = None
    token_expired: bool | None = None
