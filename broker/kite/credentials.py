"""What a user's login at Kite has given: the key of every call."""

from dataclasses import dataclass, field

from broker.proxy import Proxy


@dataclass(frozen=True, slots=True)
class KiteCredentials:
    """What a request to the broker needs, and the proxy that it goes through, if there is one."""

    api_key: str = field(repr=False)
    access_token: str = field(repr=False)
    proxy: Proxy | None = None
