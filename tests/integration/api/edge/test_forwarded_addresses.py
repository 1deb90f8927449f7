"""Whose address counts when a proxy stands before the API, as uvicorn is run."""

from pathlib import Path

import httpx
import pytest

from tests.integration.api_user import ApiUser
from tests.integration.served import served, settings_of
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

FORGED, REAL = "198.51.100.1", "203.0.113.9"


@pytest.mark.parametrize(
    ("proxy", "said", "counted"),
    [
        pytest.param("127.0.0.1", REAL, REAL, id="the proxy's word is taken"),
        pytest.param("127.0.0.1", f"{FORGED}, {REAL}", REAL, id="what the client wrote before it is not"),
        pytest.param("192.0.2.1", FORGED, "127.0.0.1", id="nor is the word of a client that is no proxy"),
    ],
)
async def test_an_address_is_taken_from_the_proxy_alone(
    postgres_url: str,
    redis_url: str,
    paper: PaperExchange,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
    said: str,
    counted: str,
) -> None:
    """Source: OWASP ASVS 4.0.3, 14.5.4. A forged address would be a way around every limit by address."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", proxy)
    with served(settings_of(postgres_url, redis_url, paper.url, tmp_path)) as url:
        async with httpx.AsyncClient(
            base_url=url, trust_env=False, headers={"X-Forwarded-For": said}, timeout=60
        ) as client:
            user = await ApiUser.register(client)
            activity = (await user.call("GET", "/auth/activity")).json()["activity"]
    assert [(line["action"], line["address"]) for line in activity] == [("register", counted)]
