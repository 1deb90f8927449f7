"""A push service over real HTTPS, and a browser that subscribes at it and reads what it gets (RFC 8030, RFC 8291)."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.notifications.sending.push_encryption import encode
from tests.kit.hostile_http import self_signed_certificate, serving

HOST = "push.example.com"
"""Its name, which its certificate has and no DNS knows."""


@dataclass
class Browser:
    """Keys of a subscription."""

    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    secret: bytes = bytes(range(16))

    @property
    def keys(self) -> dict[str, str]:
        """What it tells the server."""
        return {"p256dh": encode(self._point), "auth": encode(self.secret)}

    @property
    def _point(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def read(self, body: bytes) -> dict[str, Any]:
        """Decrypt what a push service handed on."""
        salt, size, theirs, record = body[:16], body[20], body[21 : 21 + body[20]], body[21 + body[20] :]
        assert size == len(theirs) == 65
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        shared = self.private.exchange(ec.ECDH(), sender)
        material = _derive(shared, self.secret, b"WebPush: info\0" + self._point + theirs, 32)
        key = _derive(material, salt, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _derive(material, salt, b"Content-Encoding: nonce\0", 12)
        read: dict[str, Any] = json.loads(AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0").removesuffix(b"\x02"))
        return read


def _derive(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(material)


@dataclass
class PushService:
    """`answers`: the next answers, each used once: a status and headers. Without one it is 201."""

    port: int
    trust: ssl.SSLContext
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """A browser's endpoint."""
        return f"https://{HOST}:{self.port}/wpush/v2/abc?x=1"

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where it is; no other host is known."""
        assert (host, port) == (HOST, self.port)
        return ["127.0.0.1"]


@contextmanager
def push_service(folder: Path) -> Iterator[PushService]:
    """Serves until the block ends."""
    certificate = self_signed_certificate(folder, HOST)
    service = PushService(0, ssl.create_default_context(cafile=certificate))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.got.append((self.path, dict(self.headers), body))
            status, headers = service.answers.pop(0) if service.answers else (201, {})
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.port = server.server_address[1]
    with serving(server, certificate):
        yield service
