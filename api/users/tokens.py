"""Access tokens (JWT) and refresh tokens."""

import base64
import functools
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

ISSUER = "tradeactors"
AUDIENCE = "tradeactors-api"
_ALGORITHM = "HS256"
_TYPE = "at+jwt"
"""RFC 9068: an access token, so that no other JWT signed with the same secret is mistaken for one."""
_CLAIMS = ("iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti")
_LEEWAY = timedelta(seconds=5)
"""How far the clock of another API process, which issued the token, may be ahead of ours. Expiry has no leeway."""
_SECRET_BYTES = 32
_REFRESH_BYTES = 32
_CODE_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # 32
_CODE_LENGTH = 24
_REMEMBERED = 4096
"""Tokens whose signature need not be looked at again: a phone that polls uses the same one for a quarter of an hour."""


class TokenInvalid(Exception):
    """Not a token of ours, or altered, or meant for something else."""


class TokenExpired(Exception):
    """It was ours and valid once."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid access token says. Whether its login goes on, `LiveLogins` knows."""

    user_id: int
    login_id: uuid.UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that was just issued; `expires_in` seconds from now."""

    text: str = field(repr=False)
    expires_in: int


class AccessTokens:
    """Issues and checks access tokens: HS256 and nothing else, with type, key id, issuer, audience and times."""

    def __init__(self, secret: str, lifetime: timedelta, now: Callable[[], datetime]) -> None:
        """`secret` must have at least 32 bytes; `now` tells the time (timezone-aware)."""
        if len(secret.encode()) < _SECRET_BYTES:
            raise ValueError(f"the JWT secret must have at least {_SECRET_BYTES} bytes")
        self._secret = secret
        self._lifetime = lifetime
        self._now = now
        self._signed = functools.lru_cache(_REMEMBERED)(self._verify)
        self._refresh_key = hashlib.sha256(b"tradeactors refresh tokens" + secret.encode()).digest()
        self._key_id = hashlib.sha256(b"tradeactors jwt key" + secret.encode()).hexdigest()[:8]

    def issue(self, user_id: int, login_id: uuid.UUID, ends_at: datetime) -> AccessToken:
        """A token for a user's login, which ends at the latest at `ends_at`: no token outlasts it."""
        issued_at = self._now()
        lifetime = min(self._lifetime, ends_at - issued_at)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": login_id.hex,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + lifetime,
            "jti": uuid.uuid4().hex,
        }
        text = jwt.encode(claims, self._secret, _ALGORITHM, headers={"kid": self._key_id, "typ": _TYPE})
        return AccessToken(text, int(lifetime.total_seconds()))

    def check(self, text: str) -> AccessClaims:
        """What the token says.

        Raises:
            TokenExpired: if it was valid once (row A2).
            TokenInvalid: if it is anything else than a valid token of ours.
        """
        claims, not_before = self._signed(text)
        if self._now() >= claims.expires_at:
            raise TokenExpired
        if self._now() + _LEEWAY < not_before:
            raise TokenInvalid
        return claims

    def refresh_token_after(self, token: str) -> str:
        """What a refresh token is exchanged for where its answer may be asked for again: always the same.

        Without the secret it looks like 256 random bits, and it need not be stored to be given again.
        """
        digest = hmac.digest(self._refresh_key, token.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _verify(self, text: str) -> tuple[AccessClaims, datetime]:
        """What a token of ours says, and from when on. It always holds, so it is remembered."""
        try:
            token = jwt.decode_complete(
                text,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # The times are compared below, with the clock that issues them.
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            said: dict[str, Any] = token["payload"]
            claims = AccessClaims(int(said["sub"]), uuid.UUID(said["sid"]), _instant(said["exp"]))
            not_before = max(_instant(said["nbf"]), _instant(said["iat"]))
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise TokenInvalid from error
        if (token["header"].get("kid"), token["header"].get("typ")) != (self._key_id, _TYPE):
            raise TokenInvalid
        return claims, not_before


def _instant(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def new_refresh_token() -> str:
    """256 random bits; only their hash is stored."""
    return secrets.token_urlsafe(_REFRESH_BYTES)


def new_code() -> str:
    """A code of the operator's: 120 random bits, of letters and digits that are not easily taken for each other."""
    letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
    return "-".join(letters[at : at + 4] for at in range(0, _CODE_LENGTH, 4))


def code_hash(code: str) -> bytes:
    """What the database knows a code by, however it was typed: capitals, spaces and hyphens do not matter."""
    return secret_hash("".join(code.split()).replace("-", "").upper())


def secret_hash(token: str) -> bytes:
    """What the database knows a refresh token by. A plain hash is enough for what cannot be guessed."""
    return hashlib.sha256(token.encode()).digest()
