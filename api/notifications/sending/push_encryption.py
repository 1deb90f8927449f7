"""Web push: messages encrypted for one browser (RFC 8291), and the signature that names us to push services (RFC 8292).

The plaintext is one record of RFC 8188, at most 4096 bytes with all that belongs to it.
"""

import base64
import binascii
import os
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_BYTES = 4096
MOST_BYTES = RECORD_BYTES - 86 - 17
"""How long a plaintext may be: a record without header, padding delimiter and tag."""

TOKEN_LASTS = timedelta(hours=12)
"""How long a signature is good; push services refuse more than 24 hours."""

_SALT_BYTES, _AUTH_BYTES, _POINT_BYTES = 16, 16, 65
_CURVE = ec.SECP256R1()


class BadKeys(ValueError):
    """These are no keys of a subscription."""


def encode(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The inverse of `encode`. Raises BadKeys."""
    try:
        return base64.b64decode(
            text.rstrip("=").translate(_STANDARD) + "=" * (-len(text.rstrip("=")) % 4), validate=True
        )
    except (binascii.Error, ValueError) as error:
        raise BadKeys("not base64 for URLs") from error


_STANDARD = str.maketrans("-_", "+/")


def check_keys(p256dh: str, auth: str) -> None:
    """Whether a browser's keys can be encrypted for. Raises BadKeys."""
    _browser_key(p256dh)
    if len(decode(auth)) != _AUTH_BYTES:
        raise BadKeys("auth must have 16 bytes")


def encrypt(
    plaintext: bytes, p256dh: str, auth: str, *, private: ec.EllipticCurvePrivateKey | None = None, salt: bytes = b""
) -> bytes:
    """The body of a push message, `Content-Encoding: aes128gcm`. Key and salt are new each time, but for test vectors.

    Raises:
        BadKeys: for keys that are none.
        ValueError: the plaintext is longer than `MOST_BYTES`.
    """
    if len(plaintext) > MOST_BYTES:
        raise ValueError("the message is too long")
    private, salt = private or ec.generate_private_key(_CURVE), salt or os.urandom(_SALT_BYTES)
    theirs = _browser_key(p256dh)
    ours, browser = point(private.public_key()), point(theirs)
    secret = private.exchange(ec.ECDH(), theirs)
    key_material = _hkdf(secret, decode(auth), b"WebPush: info\0" + browser + ours, 32)
    key = _hkdf(key_material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(key_material, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + RECORD_BYTES.to_bytes(4) + bytes([len(ours)]) + ours
    return header + AESGCM(key).encrypt(nonce, plaintext + b"\x02", None)


class Vapid:
    """Our name at push services: the key of the settings."""

    def __init__(self, private_key: str, subject: str) -> None:
        """`subject` is an https address, or `mailto:`, at which the operator can be reached."""
        self._key = ec.derive_private_key(int.from_bytes(decode(private_key)), _CURVE)
        self._subject = subject
        self.public_key = encode(point(self._key.public_key()))

    def authorization(self, origin: str, now: datetime) -> str:
        """The header for one push service."""
        claims = {"aud": origin, "exp": int((now + TOKEN_LASTS).timestamp()), "sub": self._subject}
        return f"vapid t={jwt.encode(claims, self._key, 'ES256')}, k={self.public_key}"


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as 65 bytes, uncompressed."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _browser_key(p256dh: str) -> ec.EllipticCurvePublicKey:
    raw = decode(p256dh)
    if len(raw) != _POINT_BYTES:
        raise BadKeys("p256dh must have 65 bytes")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, raw)
    except ValueError as error:
        raise BadKeys("p256dh is no point of P-256") from error


def _hkdf(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(material)
