"""A password counts to its last character, whatever characters it is made of."""

import secrets

import httpx
import pytest

pytest_plugins = ["tests.integration.fixtures"]


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("correct horse battery " * 11 + "stapled", id="longer than any hash takes whole"),
        pytest.param("🐎🔋 two  spaces, ねこ and O'Hara \u200d", id="emoji, spaces and other alphabets"),
        pytest.param("with\ttab & <b>\"quotes'\\ %00 {{7*7}} ' OR 1=1 --", id="what means something elsewhere"),
    ],
)
async def test_a_password_counts_to_its_last_character(client: httpx.AsyncClient, password: str) -> None:
    """Source: OWASP ASVS 4.0.3, 2.1.2, 2.1.3 and 2.1.4."""
    email = f"long.{secrets.token_hex(8)}@example.com"
    registered = await client.post("/auth/register", json={"email": email, "password": password})
    assert registered.status_code == 201, registered.text

    async def status(tried: str) -> int:
        return (await client.post("/auth/login", json={"email": email, "password": tried})).status_code

    assert await status(password) == 200
    assert await status(password[:-1]) == 401
    assert await status(password[:-1] + "x") == 401
    assert await status(password.upper()) == 401
