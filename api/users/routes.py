"""`/auth`: users, logins, tokens (rows A1, A2)."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Response

from api.base.answers.problems import problems
from api.base.dependencies import Paging, resources
from api.base.errors import ApiError, InvalidField, unauthorized
from api.base.path_id import PathId
from api.users.auth_service import AuthService
from api.users.dependencies import Address, Claims, PasswordPlace, RequestClient, UserId
from api.users.login_cookie import AskedCookie, LoginCookie
from api.users.login_tokens import IssuedTokens
from api.users.own_logins import OwnLogins
from api.users.schemas import (
    ActivityEntry,
    ActivityList,
    ConfirmAnswer,
    ConfirmRequest,
    DeleteAccountRequest,
    LoginAnswer,
    LoginEntry,
    LoginList,
    LoginRequest,
    LoginsEnded,
    PasswordChangeRequest,
    PasswordResetRequest,
    RefreshRequest,
    RegisterRequest,
    ValidateAnswer,
)
from api.users.user_service import UserService
from config.settings import Settings

router = APIRouter(prefix="/auth", tags=["auth"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    auth: AuthService
    users: UserService
    own_logins: OwnLogins
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


@router.post(
    "/register",
    status_code=201,
    operation_id="register",
    responses=problems(403, 409, 429),
    dependencies=[PasswordPlace],
)
async def register(
    body: RegisterRequest, opened: Opened, client: RequestClient, cookie: AskedCookie, response: Response
) -> LoginAnswer:
    """Open an account and log in."""
    invitation = body.invitation.get_secret_value() if body.invitation else None
    issued = await opened.auth.register(body.email, body.password.get_secret_value(), client, invitation)
    return _answer(issued, cookie, response)


@router.post("/login", operation_id="login", responses=problems(401, 403, 429), dependencies=[PasswordPlace])
async def login(
    body: LoginRequest, opened: Opened, client: RequestClient, cookie: AskedCookie, response: Response
) -> LoginAnswer:
    """Log in with e-mail and password."""
    issued = await opened.auth.login(body.email, body.password.get_secret_value(), client)
    return _answer(issued, cookie, response)


@router.post("/refresh", operation_id="refresh", responses=problems(401, 403))
async def refresh(
    body: RefreshRequest, opened: Opened, client: RequestClient, cookie: AskedCookie, response: Response
) -> LoginAnswer:
    """Exchange a refresh token for new tokens. It is good once: using it again ends the login.

    A token in the cookie of a browser may be used again for a minute, and gives the same.
    """
    try:
        issued = await opened.auth.refresh(_token_of(body, cookie), client, repeatable=cookie is not None)
    except ApiError as refusal:
        if cookie is not None and refusal.status == 401:
            refusal.headers |= cookie.forgetting()
        raise
    return _answer(issued, cookie, response)


@router.post("/logout", status_code=204, operation_id="logout", responses=problems(403))
async def logout(body: RefreshRequest, opened: Opened, client: RequestClient, cookie: AskedCookie) -> Response:
    """End the login of a refresh token, and its access tokens with it."""
    response = Response(status_code=204)
    if cookie is None or body.refresh_token or cookie.refresh_token:
        await opened.auth.logout(_token_of(body, cookie), client)
    if cookie is not None:
        cookie.forget(response)
    return response


@router.get("/validate", operation_id="validate", responses=problems(401))
async def validate(claims: Claims, opened: Opened) -> ValidateAnswer:
    """Whose token this is, and until when."""
    user = await opened.auth.user(claims.user_id)
    expires_at = claims.expires_at.astimezone(opened.settings.zone)
    return ValidateAnswer(user_id=user.id, email=user.email, expires_at=expires_at)


@router.post(
    "/password", operation_id="change_password", responses=problems(401, 403, 429), dependencies=[PasswordPlace]
)
async def change_password(
    body: PasswordChangeRequest,
    user_id: UserId,
    opened: Opened,
    client: RequestClient,
    cookie: AskedCookie,
    response: Response,
) -> LoginAnswer:
    """Set another password. Every login of the user ends; the answer begins a new one."""
    current, new = body.current_password.get_secret_value(), body.new_password.get_secret_value()
    return _answer(await opened.auth.change_password(user_id, current, new, client), cookie, response)


@router.post("/reset", operation_id="reset_password", responses=problems(401, 403, 429), dependencies=[PasswordPlace])
async def reset_password(
    body: PasswordResetRequest, opened: Opened, client: RequestClient, cookie: AskedCookie, response: Response
) -> LoginAnswer:
    """Set another password with a code of the operator's. Every login of the user ends; the answer begins a new one."""
    code, new = body.code.get_secret_value(), body.new_password.get_secret_value()
    return _answer(await opened.auth.reset_password(code, new, client), cookie, response)


@router.post("/confirm", operation_id="confirm_password", responses=problems(401, 429), dependencies=[PasswordPlace])
async def confirm(body: ConfirmRequest, claims: Claims, opened: Opened, client: RequestClient) -> ConfirmAnswer:
    """Give the password again, for what an access token alone must not do. It counts for five minutes."""
    until = await opened.own_logins.confirm(claims, body.password.get_secret_value(), client)
    return ConfirmAnswer(confirmed_until=until.astimezone(opened.settings.zone))


@router.get("/logins", operation_id="list_logins", responses=problems(401))
async def logins(claims: Claims, opened: Opened, page: Paging) -> LoginList:
    """The logins that go on, the one used last first."""
    found, total = await opened.own_logins.page(claims.user_id, page.limit, page.offset)
    zone = opened.settings.zone
    entries = [
        LoginEntry(
            login_id=login.number,
            current=login.id == claims.login_id,
            started_at=login.started_at.astimezone(zone),
            last_used_at=login.last_used_at.astimezone(zone),
            address=login.last_address,
            user_agent=login.user_agent,
        )
        for login in found
    ]
    return LoginList(
        logins=entries, total=total.number, total_capped=total.capped, limit=page.limit, offset=page.offset
    )


@router.delete("/logins", operation_id="end_other_logins", responses=problems(401))
async def end_other_logins(claims: Claims, opened: Opened, address: Address) -> LoginsEnded:
    """Log out everywhere else. Every login but the one that asks ends."""
    return LoginsEnded(ended=await opened.own_logins.end_others(claims, address))


@router.delete("/logins/{login_id:id}", status_code=204, operation_id="end_login", responses=problems(401, 404))
async def end_login(login_id: PathId, user_id: UserId, opened: Opened, address: Address) -> Response:
    """End one login, and its tokens with it."""
    await opened.own_logins.end(user_id, login_id, address)
    return Response(status_code=204)


@router.post(
    "/delete",
    status_code=204,
    operation_id="delete_account",
    responses=problems(401, 409, 429),
    dependencies=[PasswordPlace],
)
async def delete_account(
    body: DeleteAccountRequest, user_id: UserId, opened: Opened, client: RequestClient
) -> Response:
    """Delete the account while nothing runs. The records of trades are kept, the address can register again."""
    await opened.users.delete(user_id, body.password.get_secret_value(), client)
    return Response(status_code=204)


@router.get("/activity", operation_id="account_activity", responses=problems(401))
async def activity(user_id: UserId, opened: Opened, page: Paging) -> ActivityList:
    """What was done with the account and from where, newest first."""
    lines, total = await opened.users.activity(user_id, page.limit, page.offset)
    zone = opened.settings.zone
    entries = [
        ActivityEntry(at=line.at.astimezone(zone), action=line.action, subject=line.subject, address=line.address)
        for line in lines
    ]
    return ActivityList(
        activity=entries, total=total.number, total_capped=total.capped, limit=page.limit, offset=page.offset
    )


def _answer(issued: IssuedTokens, cookie: LoginCookie | None, response: Response) -> LoginAnswer:
    """The tokens of a login, of which a browser gets one as a cookie."""
    if cookie is not None:
        cookie.keep(response, issued.refresh_token, issued.refresh_expires_in)
    return LoginAnswer(
        access_token=issued.access_token,
        expires_in=issued.expires_in,
        refresh_token=issued.refresh_token if cookie is None else None,
    )


def _token_of(body: RefreshRequest, cookie: LoginCookie | None) -> str:
    """The refresh token of a request: in its body, or in the cookie of a browser's login."""
    if body.refresh_token is not None:
        return body.refresh_token.get_secret_value()
    if cookie is None:
        raise InvalidField("refresh_token", "must be given")
    if cookie.refresh_token is None:
        raise unauthorized("no_login", "This browser is not logged in. Please log in.")
    return cookie.refresh_token
