"""A user's own account at the paper exchange, opened by its control API: one for each user, however often asked."""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

import httpx

from broker.errors import BrokerRefused, BrokerUnreachable

_PATIENCE = httpx.Timeout(3.0, connect=1.0)
_CREATED, _CONFLICT = 201, 409


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """What a user's account is called, and what opens it. The same each time, so that nothing need be remembered."""

    user_id: str
    api_key: str
    api_secret: str = field(repr=False)
    access_token: str = field(repr=False)

    @classmethod
    def of(cls, user_id: int, secret: str) -> "OwnAccount":
        """The account of a user of the installation whose secret this is."""

        def derived(what: str) -> str:
            return hmac.new(secret.encode(), f"paper account {what} {user_id}".encode(), sha256).hexdigest()

        return cls(
            user_id=f"PU{derived('user_id')[:12].upper()}",
            api_key=derived("api_key")[:16],
            api_secret=derived("api_secret")[:32],
            access_token=derived("access_token")[:32],
        )


async def open_account(root: str, control_token: str | None, account: OwnAccount) -> None:
    """Have the account at the exchange, and its access token valid, whether or not it was there before.

    Raises:
        BrokerUnreachable: the exchange does not answer as it should.
        BrokerRefused: its controls want a token that this server does not have.
    """
    headers = {"Authorization": f"Bearer {control_token}"} if control_token else {}
    wanted = {
        "user_id": account.user_id,
        "api_key": account.api_key,
        "api_secret": account.api_secret,
        "access_token": account.access_token,
    }
    try:
        # trust_env: the machine's proxy settings are for the way out, and the exchange is our own.
        async with httpx.AsyncClient(base_url=root, headers=headers, timeout=_PATIENCE, trust_env=False) as client:
            answer = await client.post("/paper/accounts", json=wanted)
            if answer.status_code == _CONFLICT:  # opened before: only its token may have ended
                path = f"/paper/accounts/{account.user_id}/token"
                answer = await client.post(path, json={"access_token": account.access_token})
    except httpx.HTTPError as error:
        raise BrokerUnreachable from error
    if answer.status_code in {401, 403}:
        raise BrokerRefused("The paper exchange lets this server open no account; open one there and connect its keys")
    if not answer.is_success:
        raise BrokerUnreachable
