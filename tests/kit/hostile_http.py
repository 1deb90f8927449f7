"""A small HTTP(S) server of our own that plays a broker gone wrong. Real sockets, in a thread."""

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class HostileBroker:
    """What it answers to everything, and the requests it has seen: (method, path, headers)."""

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def answers(self, body: str, status: int = 200, **headers: str) -> None:
        """Answer with this from here on; a header's underscores are hyphens."""
        self.body, self.status = body.encode(), status
        self.headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}


@contextmanager
def hostile_broker(certificate: Path | None = None) -> Iterator[HostileBroker]:
    """Serve until the block ends; with TLS when there is a certificate."""
    broker = HostileBroker()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            broker.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            self.send_response(broker.status)
            for name, value in broker.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(broker.body)))
            self.end_headers()
            self.wfile.write(broker.body)

        do_POST = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, *_: object) -> None:
            """Keep the test's output to itself."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    broker.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    with serving(server, certificate):
        yield broker


@contextmanager
def serving(server: ThreadingHTTPServer, certificate: Path | None = None) -> Iterator[None]:
    """Have a server answer in a thread until the block ends; with TLS when there is a certificate."""
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def self_signed_certificate(folder: Path, host: str | None = None) -> Path:
    """A certificate for 127.0.0.1 or a named host that no authority vouches for, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host or "evil.example")])
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) if host else local]), critical=False)
        .add_extension(x509.BasicConstraints(ca=host is not None, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "broker.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path
