"""`/broker`: the user's connection to a broker (rows B1, B2)."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query, Response
from pydantic import SecretStr

from api.base.answers.problems import problems
from api.base.clock import utc_now
from api.base.dependencies import resources
from api.base.errors import InvalidField
from api.brokers.browser_logins import BrowserLogins
from api.brokers.schemas import (
    BrokerConnectAnswer,
    BrokerConnectRequest,
    BrokerLoginAnswer,
    BrokerLoginLink,
    BrokerLoginQuery,
    BrokerStatusAnswer,
)
from api.brokers.service import BrokerService, ConnectRequest
from api.users.dependencies import Address, RecentPassword, UserId
from broker.kite.login import token_expiry
from config.settings import Settings

router = APIRouter(prefix="/broker", tags=["broker"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    brokers: BrokerService
    browser_logins: BrowserLogins
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


@router.post("/connect", operation_id="connect_broker", responses=problems(401, 403, 409))
async def connect(
    body: BrokerConnectRequest, user_id: UserId, opened: Opened, address: Address, has_recent_password: RecentPassword
) -> BrokerConnectAnswer:
    """Connect a broker account, in place of the one there was. Nothing is stored unless the broker accepts it.

    Another account in place of the one that is connected wants a password that was given in the last five minutes. On
    the next morning a new token of the same account is enough: running strategies go on with it.
    """
    request = ConnectRequest(
        broker=body.broker,
        api_key=_plain(body.api_key),
        api_secret=_plain(body.api_secret),
        access_token=_plain(body.access_token),
        request_token=_plain(body.request_token),
        proxy_url=_plain(body.proxy_url),
        keeps_proxy="proxy_url" not in body.model_fields_set,
    )
    account = await opened.brokers.connect(user_id, request, address, has_recent_password)
    return BrokerConnectAnswer(broker=account.broker, broker_user_id=account.broker_user_id)


@router.get("/login-url", operation_id="broker_login_url", responses=problems(401, 409))
async def login_url(query: Annotated[BrokerLoginQuery, Query()], user_id: UserId, opened: Opened) -> BrokerLoginAnswer:
    """Where the user logs in at the broker, which then hands out a request token.

    With `return=app` it is a page for the connection that there is. This server connects the login that comes back
    from it, if the API key's redirect URL is `redirect_url`.
    """
    redirect_url = opened.settings.callback_url
    if query.return_to is None:
        url, broker = await opened.brokers.login_url(user_id, query.broker, query.api_key)
        return BrokerLoginAnswer(login_url=url, broker=broker, redirect_url=redirect_url)
    if query.api_key is not None or query.broker is not None:
        field = "api_key" if query.api_key is not None else "broker"
        raise InvalidField(field, "is that of the connection: leave it out with return=app")
    page = await opened.browser_logins.login_page(user_id)
    expires_at = page.expires_at.astimezone(opened.settings.zone)
    return BrokerLoginAnswer(login_url=page.url, broker=page.broker, redirect_url=redirect_url, expires_at=expires_at)


@router.post("/login-link", status_code=201, operation_id="make_login_link", responses=problems(401, 409))
async def login_link(user_id: UserId, opened: Opened, address: Address) -> BrokerLoginLink:
    """A link for a message: it opens the broker's login page without a token, for the connected account only.

    It is good for one login, until 06:00 of the next morning at the latest.
    """
    link = await opened.browser_logins.ask_for_link(user_id, address)
    return BrokerLoginLink(login_link=link.url, expires_at=link.expires_at.astimezone(opened.settings.zone))


@router.get("/status", operation_id="broker_status", responses=problems(401))
async def status(user_id: UserId, opened: Opened) -> BrokerStatusAnswer:
    """Whether a broker is connected, and how old its token is."""
    account = await opened.brokers.account(user_id)
    if account is None:
        return BrokerStatusAnswer(broker_connected=False)
    now, zone = utc_now(), opened.settings.zone
    expires_at = token_expiry(account.token_obtained_at)
    return BrokerStatusAnswer(
        broker_connected=True,
        broker=account.broker,
        broker_user_id=account.broker_user_id,
        api_key_hint=account.api_key_hint,
        connected_at=account.connected_at.astimezone(zone),
        token_obtained_at=account.token_obtained_at.astimezone(zone),
        token_age_s=max(0, int((now - account.token_obtained_at).total_seconds())),
        token_expires_at=expires_at.astimezone(zone),
        token_expired=now >= expires_at,
        proxy=opened.brokers.proxy_of(account),
    )


@router.delete("", status_code=204, operation_id="disconnect_broker", responses=problems(401, 409))
async def disconnect(user_id: UserId, opened: Opened, address: Address) -> Response:
    """Forget the connection and its secrets. Not while strategies run."""
    await opened.brokers.disconnect(user_id, address)
    return Response(status_code=204)


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
