"""`/auth`: accounts, logins, tokens (rows A1, A2)."""

from fastapi import APIRouter, Response

from api.auth_service import Login
from api.dependencies import Address, Claims, Opened
from api.routes.problems import problems
from api.schemas.auth import LoginAnswer, LoginRequest, RefreshRequest, RegisterRequest, ValidateAnswer

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post("/register", status_code=201, operation_id="register", responses=problems(409))
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
async def logout(body: RefreshRequest, opened: Opened) -> Response:
    """End the login of a refresh token. Access tokens run out by themselves."""
    await opened.auth.logout(body.refresh_token.get_secret_value())
    return Response(status_code=204)


@router.get("/validate", operation_id="validate", responses=problems(401))
async def validate(claims: Claims, opened: Opened) -> ValidateAnswer:
    """Whose token this is, and until when."""
    user = await opened.auth.user(claims.user_id)
    return ValidateAnswer(user_id=user.id, email=user.email, expires_at=claims.expires_at)


def _answer(login: Login) -> LoginAnswer:
    return LoginAnswer(access_token=login.access_token, expires_in=login.expires_in, refresh_token=login.refresh_token)
