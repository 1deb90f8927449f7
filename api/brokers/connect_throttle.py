"""How often a user may connect a broker: each attempt is a question to the broker and a line of the audit log."""

from redis.asyncio import Redis

from api.base.errors import ApiError
from persistence.login_throttle import LoginThrottle, Refusal, ThrottleLimits

_WINDOW_S = 300
_FAILURES = 10
_CONNECTS = 60


class ConnectThrottle:
    """Counts attempts before the broker is asked, so that many at once are no way around it.

    Ten failures in five minutes, which a success forgets, and sixty connects in all. An outage of the broker is no
    failure: with an expired token no exit leaves, so the user may try again as soon as the broker is back. Nor is it
    one that the password is asked for. While Redis is away each process counts in its memory, as at the login.
    """

    def __init__(self, redis: Redis) -> None:
        self._failures = LoginThrottle(redis, ThrottleLimits(per_pair=_FAILURES, windows_s=(_WINDOW_S,)))
        self._connects = LoginThrottle(redis, ThrottleLimits(per_pair=_CONNECTS, windows_s=(_WINDOW_S,)))

    async def attempt(self, user_id: int) -> Refusal | None:
        """Count an attempt. None: it may go on, and counts as failed unless `succeeded` follows."""
        # "known": counted for the user alone, from whatever address, and waits do not grow
        failed = await self._failures.attempt(f"connect-failed:{user_id}", "", known=True)
        return failed or await self._connects.attempt(f"connect:{user_id}", "", known=True)

    async def take_back(self, user_id: int) -> None:
        """The attempt is no failure of the user's: the broker did not answer, or the password is asked for first."""
        await self._failures.take_back(f"connect-failed:{user_id}", "")

    async def succeeded(self, user_id: int) -> None:
        """The broker was connected: the failures before are forgotten."""
        await self._failures.succeeded(f"connect-failed:{user_id}", "", known=True)


def too_many_connects(refusal: Refusal) -> ApiError:
    """429, with the seconds to wait."""
    headers = {"Retry-After": str(refusal.wait_s)}
    return ApiError(429, "too_many_attempts", "Too many attempts to connect. Please wait a little.", headers)
