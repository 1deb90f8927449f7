"""Access tokens against who forges, keeps or steals them. Each test is named after the threat that it answers."""

import base64
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from redis.asyncio import Redis

from api.app import create_app
from config.settings import Settings
from tests.integration.api_user import PASSWORD, ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

ANOTHER_SECRET = "another secret, also long enough for HS256"


class Forger:
    """Holds a genuine token and signs variations of it, with the right secret unless the test gives another."""

    def __init__(self, genuine: str, secret: str) -> None:
        self.genuine = genuine
        self.secret = secret
        self.header = jwt.get_unverified_header(genuine)
        self.claims: dict[str, Any] = jwt.decode(genuine, options={"verify_signature": False})

    def sign(self, key: Any = None, algorithm: str = "HS256", **claims: Any) -> str:
        """The same token with other claims; a claim of None is left out."""
        changed = {name: value for name, value in (self.claims | claims).items() if value is not None}
        return jwt.encode(changed, key or self.secret, algorithm, headers=self.header | {"alg": algorithm})

    def sign_header(self, **fields: object) -> str:
        """The same token with other header fields; a field of None is left out."""
        header = {name: value for name, value in (self.header | fields).items() if value is not None}
        return jwt.encode(self.claims, self.secret, headers=header)

    def unsigned(self, algorithm: str, **claims: object) -> str:
        """The token with a header that asks for no signature."""
        return f"{_segment(self.header | {'alg': algorithm})}.{_segment(self.claims | claims)}."


@pytest.fixture
def forger(user: ApiUser, settings: Settings) -> Forger:
    return Forger(user.tokens["access_token"], settings.jwt_secret.get_secret_value())


async def answer_to(user: ApiUser, token: str) -> tuple[int, str]:
    """Status and code that a token gets."""
    answer = await user.client.get("/auth/validate", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json().get("code", "")


INVALID = (401, "token_invalid")
EXPIRED = (401, "token_expired")


async def test_the_forger_of_these_tests_can_sign_good_tokens(user: ApiUser, forger: Forger) -> None:
    assert await answer_to(user, forger.genuine) == (200, "")
    assert await answer_to(user, forger.sign()) == (200, "")
    assert await answer_to(user, forger.sign_header()) == (200, "")


@pytest.mark.parametrize("written", ['"{}"', "Bearer {}", "<{}>", "null", "$TOKEN"])
async def test_a_header_that_holds_no_token_is_said_and_no_login_asked_for(
    user: ApiUser, forger: Forger, written: str
) -> None:
    token = written.format(forger.genuine)
    answer = await user.client.get("/auth/validate", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == INVALID
    assert answer.json()["detail"].startswith("No access token follows `Bearer`: send the access_token of a login's ")


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", ""])
async def test_a_token_that_asks_not_to_be_verified_is_refused(user: ApiUser, forger: Forger, algorithm: str) -> None:
    assert await answer_to(user, forger.unsigned(algorithm)) == INVALID


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_an_algorithm_other_than_the_pinned_one_is_refused(user: ApiUser, forger: Forger, algorithm: str) -> None:
    assert await answer_to(user, forger.sign(forger.secret * 2, algorithm)) == INVALID
    _, payload, signature = forger.genuine.split(".")
    relabelled = f"{_segment(forger.header | {'alg': algorithm})}.{payload}.{signature}"
    assert await answer_to(user, relabelled) == INVALID


async def test_a_token_signed_with_a_key_pair_of_the_attacker_is_refused(user: ApiUser, forger: Forger) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signed = forger.sign(key, "RS256")
    assert await answer_to(user, signed) == INVALID
    _, payload, signature = signed.split(".")
    relabelled = f"{_segment(forger.header)}.{payload}.{signature}"
    assert await answer_to(user, relabelled) == INVALID


async def test_a_token_signed_with_another_secret_is_refused(user: ApiUser, forger: Forger) -> None:
    assert await answer_to(user, forger.sign(ANOTHER_SECRET)) == INVALID


async def test_a_payload_that_was_altered_is_refused(user: ApiUser, forger: Forger) -> None:
    stranger = await ApiUser.register(user.client)
    head, payload, signature = forger.genuine.split(".")
    _, strangers_payload, _ = stranger.tokens["access_token"].split(".")
    for text in (
        f"{head}.{strangers_payload}.{signature}",
        f"{head}.{_segment(forger.claims | {'exp': forger.claims['exp'] + 86_400})}.{signature}",
        f"{head}.{payload}.{signature[::-1]}",
        f"{head}.{payload}.",
        f"{head}.{payload}",
        "rubbish",
        "..",
    ):
        assert await answer_to(user, text) == INVALID, text


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-api"},
        {"aud": None},
        {"iss": "somebody"},
        {"iss": None},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"nbf": None},
        {"jti": None},
        {"sub": None},
        {"sub": "robert"},
        {"sid": None},
        {"sid": "no login"},
        {"sid": 7},
    ],
    ids=str,
)
async def test_a_token_for_something_else_is_refused(user: ApiUser, forger: Forger, claims: dict[str, Any]) -> None:
    assert await answer_to(user, forger.sign(**claims)) == INVALID


@pytest.mark.parametrize(
    "fields",
    [
        {"kid": "unknown"},
        {"kid": None},
        {"kid": "../../dev/null"},
        {"typ": "JWT"},
        {"typ": None},
        {"crit": ["unheard-of"], "unheard-of": True},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
    ],
    ids=str,
)
async def test_a_header_that_is_not_ours_is_refused(user: ApiUser, forger: Forger, fields: dict[str, object]) -> None:
    assert await answer_to(user, forger.sign_header(**fields)) == INVALID


async def test_a_token_kept_beyond_its_time_is_refused_as_expired(user: ApiUser, forger: Forger) -> None:
    now = int(time.time())
    assert await answer_to(user, forger.sign(exp=now - 1)) == EXPIRED
    assert await answer_to(user, forger.sign(exp=now + 60)) == (200, "")


async def test_a_token_whose_time_has_not_come_is_refused(user: ApiUser, forger: Forger) -> None:
    in_a_minute = int(time.time()) + 60
    assert await answer_to(user, forger.sign(nbf=in_a_minute)) == INVALID
    assert await answer_to(user, forger.sign(iat=in_a_minute)) == INVALID


async def test_a_login_of_somebody_else_or_nobody_is_refused(user: ApiUser, forger: Forger) -> None:
    stranger = await ApiUser.register(user.client)
    theirs = jwt.decode(stranger.tokens["access_token"], options={"verify_signature": False})
    assert await answer_to(user, forger.sign(sid=theirs["sid"])) == INVALID
    assert await answer_to(user, forger.sign(sub=theirs["sub"])) == INVALID
    assert await answer_to(user, forger.sign(sid=uuid.uuid4().hex)) == INVALID
    assert (await stranger.call("GET", "/auth/validate")).status_code == 200


async def test_an_access_token_in_the_address_is_not_looked_at(user: ApiUser) -> None:
    answer = await user.client.get("/auth/validate", params={"access_token": user.tokens["access_token"]})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def log_out(user: ApiUser) -> None:
    answer = await user.client.post("/auth/logout", json={"refresh_token": user.tokens["refresh_token"]})
    assert answer.status_code == 204


async def change_password(user: ApiUser) -> None:
    answer = await user.call(
        "POST", "/auth/password", current_password=PASSWORD, new_password="a better battery, stapled"
    )
    assert answer.status_code == 200


async def use_the_refresh_token_twice(user: ApiUser) -> None:
    body = {"refresh_token": user.tokens["refresh_token"]}
    assert (await user.client.post("/auth/refresh", json=body)).status_code == 200
    assert (await user.client.post("/auth/refresh", json=body)).status_code == 401


async def delete_the_account(user: ApiUser) -> None:
    assert (await user.call("POST", "/auth/delete", password=PASSWORD)).status_code == 204


ENDS = [log_out, change_password, use_the_refresh_token_twice, delete_the_account]


@pytest.mark.parametrize("end", ENDS)
async def test_a_stolen_access_token_ends_with_its_login(
    client: httpx.AsyncClient, user: ApiUser, end: Callable[[ApiUser], Any]
) -> None:
    stolen = user.tokens["access_token"]
    assert await answer_to(user, stolen) == (200, "")
    await end(user)
    assert await answer_to(user, stolen) == INVALID
    answer = await client.get("/strategy/list", headers={"Authorization": f"Bearer {stolen}"})
    assert (answer.status_code, answer.json()["code"]) == INVALID


@pytest.mark.parametrize("end", ENDS)
async def test_an_ended_login_is_not_revived_by_flushing_redis_or_by_another_process(
    user: ApiUser, settings: Settings, engine: FakeEngine, redis_url: str, end: Callable[[ApiUser], Any]
) -> None:
    stolen = user.tokens["access_token"]
    await end(user)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
    assert await answer_to(user, stolen) == INVALID
    another = create_app(settings, engine)
    async with another.router.lifespan_context(another):
        transport = httpx.ASGITransport(another)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            user.client = client
            assert await answer_to(user, stolen) == INVALID


async def test_ending_one_login_leaves_the_others(client: httpx.AsyncClient, user: ApiUser) -> None:
    other = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    await log_out(user)
    assert await answer_to(user, other.json()["access_token"]) == (200, "")


async def test_a_stolen_refresh_token_ends_the_login_for_both(client: httpx.AsyncClient, user: ApiUser) -> None:
    first = user.tokens["refresh_token"]
    successor = (await client.post("/auth/refresh", json={"refresh_token": first})).json()
    reused = await client.post("/auth/refresh", json={"refresh_token": first})
    assert (reused.status_code, reused.json()["code"]) == (401, "invalid_credentials")
    again = await client.post("/auth/refresh", json={"refresh_token": successor["refresh_token"]})
    assert again.status_code == 401
    assert await answer_to(user, successor["access_token"]) == INVALID


async def test_the_openapi_description_names_no_secret(app: FastAPI, settings: Settings) -> None:
    text = json.dumps(app.openapi())
    assert settings.jwt_secret.get_secret_value() not in text


def _segment(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
