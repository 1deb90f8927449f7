"""Broker secrets at rest: AES-256-GCM, bound to their owner, with keys that can be changed without downtime.

A box is one version byte, a 12-byte nonce and the ciphertext with its tag. The owner and the purpose are
authenticated with it (AAD), so a row copied to another user, or to another column, does not open.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config.settings import Settings, SettingsError, load_settings
from persistence.errors import UnreadableSecret

log = structlog.stdlib.get_logger(__name__)

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32
BROKER_PURPOSE = "broker_account"
CHANNEL_PURPOSE = "notification_channel"


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """Ciphertext and the version (fingerprint) of the key that opens it."""

    box: bytes = field(repr=False)
    key_version: str


def generate_key() -> str:
    """A new key in the form that `ENCRYPTION_KEYS` takes: 32 random bytes, URL-safe base64."""
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


def key_version(key: bytes) -> str:
    """Eight hexadecimal digits that name a key without telling anything about it."""
    return hashlib.sha256(b"tradeactors key version" + key).hexdigest()[:8]


def decode_key(text: str) -> bytes:
    """One entry of `ENCRYPTION_KEYS`.

    Raises:
        ValueError: if it is not 32 bytes of base64. The message does not contain the key.
    """
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError("an encryption key must be 32 bytes in base64; `openssl rand -base64 32` makes one")
    return key


class SecretBox:
    """Seals with the newest key and opens with any of them.

    A caller may believe that what `open` returns was sealed for the same user and purpose, unaltered.
    """

    def __init__(self, keys: Sequence[bytes], reread: Callable[[], Sequence[bytes]] | None = None) -> None:
        """`reread` tells which keys there are by then; it is asked when a secret's key is not at hand."""
        if not keys:
            raise ValueError("at least one encryption key is needed")
        self._reread = reread
        self._ciphers: dict[str, AESGCM] = {}
        self._newest = ""
        self._add(keys)

    @classmethod
    def from_texts(cls, texts: Sequence[str]) -> Self:
        """From the entries of `ENCRYPTION_KEYS`; the first encrypts.

        Raises:
            ValueError: if there is none, or one is not 32 bytes of base64.
        """
        return cls([decode_key(text) for text in texts])

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """With the keys of the settings, which are read again when a key was changed while this process runs.

        Raises:
            ValueError: if there is none.
        """
        return cls(_keys_of(settings), lambda: _keys_read_again(settings))

    @property
    def newest(self) -> str:
        """The version of the key that seals."""
        return self._newest

    @property
    def versions(self) -> frozenset[str]:
        """The versions of the keys that open."""
        return frozenset(self._ciphers)

    def refresh(self) -> None:
        """Seal from here on with the key that is the first by now. Keys that were known go on opening."""
        if self._reread is not None:
            self._add(self._reread())

    def seal(self, plaintext: bytes, *, user_id: int, purpose: str) -> SealedSecret:
        """Encrypt for one user and purpose, with the newest key."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._ciphers[self._newest].encrypt(nonce, plaintext, _aad(user_id, purpose))
        return SealedSecret(_FORMAT + nonce + ciphertext, self._newest)

    def open(self, sealed: SealedSecret, *, user_id: int, purpose: str) -> bytes:
        """Decrypt what `seal` made for the same user and purpose.

        Raises:
            UnreadableSecret: if the key is not at hand, or owner, purpose or content do not match.
        """
        if sealed.key_version not in self._ciphers:
            self.refresh()
        cipher = self._ciphers.get(sealed.key_version)
        if cipher is None:
            raise UnreadableSecret(f"no key of version {sealed.key_version} is configured")
        if sealed.box[:1] != _FORMAT:
            raise UnreadableSecret("the secret has an unknown format")
        nonce, ciphertext = sealed.box[1 : 1 + _NONCE_BYTES], sealed.box[1 + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, _aad(user_id, purpose))
        except (InvalidTag, ValueError) as error:
            raise UnreadableSecret("the secret is damaged or belongs to somebody else") from error

    def reseal(self, sealed: SealedSecret, *, user_id: int, purpose: str = BROKER_PURPOSE) -> SealedSecret:
        """The same secret under the newest key.

        Raises:
            UnreadableSecret: as `open`.
        """
        return self.seal(self.open(sealed, user_id=user_id, purpose=purpose), user_id=user_id, purpose=purpose)

    def _add(self, keys: Sequence[bytes]) -> None:
        if keys:
            self._ciphers = self._ciphers | {key_version(key): AESGCM(key) for key in keys}
            self._newest = key_version(keys[0])


@dataclass(frozen=True, slots=True)
class BrokerCredentials:
    """What a user's broker account is used with. Never logged: its text form shows nothing."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    proxy_url: str | None = field(default=None, repr=False)


def seal_credentials(box: SecretBox, user_id: int, credentials: BrokerCredentials) -> SealedSecret:
    """Credentials as `broker_accounts.secrets_box` stores them."""
    # a proxy only where there is one: what has none can be read by processes that do not know of proxies yet
    fields = {name: value for name, value in asdict(credentials).items() if value is not None}
    return box.seal(json.dumps(fields).encode(), user_id=user_id, purpose=BROKER_PURPOSE)


def open_credentials(box: SecretBox, user_id: int, sealed: SealedSecret) -> BrokerCredentials:
    """The inverse of `seal_credentials`.

    Raises:
        UnreadableSecret: if the row was not sealed for this user with a key at hand.
    """
    try:
        return BrokerCredentials(**json.loads(box.open(sealed, user_id=user_id, purpose=BROKER_PURPOSE)))
    except (ValueError, TypeError) as error:
        raise UnreadableSecret("the secret does not hold broker credentials") from error


def _aad(user_id: int, purpose: str) -> bytes:
    return f"{user_id}|{purpose}".encode()


def _keys_of(settings: Settings) -> list[bytes]:
    return [decode_key(key.get_secret_value()) for key in settings.encryption_keys]


def _keys_read_again(settings: Settings) -> list[bytes]:
    """The keys of the settings as they are by now; none if they cannot be read, which leaves those that are known."""
    try:
        return _keys_of(load_settings(secrets="optional", data_dir=settings.data_dir))
    except SettingsError as error:
        log.warning("settings_not_read_again", problems=len(error.problems))
        return []
