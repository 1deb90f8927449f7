"""`/auth`: users, logins, tokens (rows A1, A2)."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Response

from api.base.dependencies import Paging, resources
from api.base.problems import problems
from api.users.auth_service import AuthService, IssuedTokens
from api.users.dependencies import Address, Claims, UserId
from api.users.schemas import (
    ActivityEntry,
    ActivityList,
    DeleteAccountRequest,
    LoginAnswer,
    LoginRequest,
    PasswordChangeRequest,
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
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


@router.post("/register", status_code=201, operation_id="register", responses=problems(403, 409, 429))
async def register(body: RegisterRequest, opened: Opened, address: Address) -> LoginAnswer:
    """Open an account and log in."""
    return _answer(await opened.auth.register(body.email, body.password.get_secret_value(), address))


@router.post("/login", operation_id="login", responses=problems(401, 429))
async def login(body: LoginRequest, opened: Opened, address: Address) -> LoginAnswer:
    """Log in with e-mail and password."""
    return _answer(await opened.auth.login(body.email, body.password.get_secret_value(), address))


@router.post("/refresh", operation_id="refresh", responses=problems(401))
async def refresh(body: RefreshRequest, opened: Opened, address: Address) -> LoginAnswer:
    """Exchange a refresh token for new tokens. It is good once: using it again ends the login."""
    return _answer(await opened.auth.refresh(body.refresh_token.get_secret_value(), address))


@router.post("/logout", status_code=204, operation_id="logout")
async def logout(body: RefreshRequest, opened: Opened, address: Address) -> Response:
    """End the login of a refresh token, and its access tokens with it."""
    await opened.auth.logout(body.refresh_token.get_secret_value(), address)
    return Response(status_code=204)


@router.get("/validate", operation_id="validate", responses=problems(401))
async def validate(claims: Claims, opened: Opened) -> ValidateAnswer:
    """Whose token this is, and until when."""
    user = await opened.auth.user(claims.user_id)
    expires_at = claims.expires_at.astimezone(opened.settings.zone)
    return ValidateAnswer(user_id=user.id, email=user.email, expires_at=expires_at)


@router.post("/password", operation_id="change_password", responses=problems(401, 429))
async def change_password(
    body: PasswordChangeRequest, user_id: UserId, opened: Opened, address: Address
) -> LoginAnswer:
    """Set another password. Every login of the user ends; the answer begins a new one."""
    current, new = body.current_password.get_secret_value(), body.new_password.get_secret_value()
    return _answer(await opened.auth.change_password(user_id, current, new, address))


@router.post("/delete", status_code=204, operation_id="delete_account", responses=problems(401, 409, 429))
async def delete_account(body: DeleteAccountRequest, user_id: UserId, opened: Opened, address: Address) -> Response:
    """Delete the account while nothing runs. The records of trades are kept, the address can register again."""
    await opened.users.delete(user_id, body.password.get_secret_value(), address)
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


def _answer(issued: IssuedTokens) -> LoginAnswer:
    return LoginAnswer(
        access_token=issued.access_token, expires_in=issued.expires_in, refresh_token=issued.refresh_token
    )
