"""Tokens that cannot be guessed (OWASP ASVS 4.0.3, 3.2.2 and 6.3.1)."""

from datetime import UTC, datetime, timedelta

import pytest

from api.users.tokens import AccessTokens, new_refresh_token


def test_tokens_cannot_be_guessed() -> None:
    tokens = {new_refresh_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert min(map(len, tokens)) == 43, "256 bits, six in a letter"
    assert len({token[:6] for token in tokens}) > 990, "they have no beginning in common"


@pytest.mark.parametrize("secret", ["", "x" * 31])
def test_access_tokens_are_signed_with_256_bits_or_not_at_all(secret: str) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        AccessTokens(secret, timedelta(minutes=15), lambda: datetime.now(UTC))
