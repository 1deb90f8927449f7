"""Errors of brokers, by what the caller may do about them. Their texts hold no credentials.

BrokerError
├── CredentialsRejected      the user must act; repeating the same request is useless (row B2)
│   ├── InvalidToken         the access token is not one of this API key
│   ├── ExpiredToken         it was valid once; log in at the broker again
│   └── CredentialsMismatch  the API secret does not belong to the API key
├── BrokerRefused            the broker understood and says no, for a reason it gives
└── BrokerUnreachable        no usable answer: try again later (row H3)
    ├── ProxyUnreachable     the account's own proxy is in the way
    └── TooManyCalls         the user's other calls are in the way; the broker was not asked
"""


class BrokerError(Exception):
    """Root of the errors raised by `broker`."""


class CredentialsRejected(BrokerError):
    """The broker does not accept the credentials."""


class InvalidToken(CredentialsRejected):
    """The access token is not one of this API key. The text forms below are the sentences of row B2."""

    def __str__(self) -> str:
        return "Invalid access token"


class ExpiredToken(CredentialsRejected):
    """The access or request token was valid once."""

    def __str__(self) -> str:
        return "Token expired, please refresh"


class CredentialsMismatch(CredentialsRejected):
    """The API key and the API secret do not belong together."""

    def __str__(self) -> str:
        return "Credentials mismatch"


class BrokerRefused(BrokerError):
    """The broker understood the request and refuses it; the text is the broker's reason."""


class BrokerUnreachable(BrokerError):
    """The broker gave no usable answer: network failure, outage, rate limit or garbage."""

    def __str__(self) -> str:
        return "The broker does not answer"


class ProxyUnreachable(BrokerUnreachable):
    """The proxy of the account cannot be reached, or does not let us through to the broker."""

    def __str__(self) -> str:
        return "The proxy of the connection does not lead to the broker"


class TooManyCalls(BrokerUnreachable):
    """As many calls of the user as may be are under way, and none has ended in time. The broker was not asked."""

    def __str__(self) -> str:
        return "Too many of your questions to the broker are under way. Please wait a little."
