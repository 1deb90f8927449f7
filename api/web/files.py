"""Files of a folder, read once and served from memory, so that a request reads no disk and can name no other file."""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

KINDS: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""What a file is, by the end of its name. Python's table differs from system to system, and under `nosniff` a browser
does not run a script that is called anything else."""

_ANY_KIND = "application/octet-stream"
_PACKABLE = frozenset({".css", ".html", ".js", ".json", ".map", ".svg", ".txt", ".webmanifest"})
_LEAST_PACKED = 1024
"""How many bytes a file must have to be worth packing: less than that fits into one packet as it is."""

_HASHED = re.compile(r"assets/.*-[A-Za-z0-9_-]{8,}\.[a-z0-9.]+")
"""Names with the hash of their content, as Vite gives them: what is behind such a name never changes."""

_LASTING = "public, max-age=31536000, immutable"
_CHECKED = "no-cache"
_REFUSES_GZIP = re.compile(r"(?:gzip|\*)\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file as it is served. `tag` stands for its content, `packed` is its content in gzip, where that is smaller."""

    kind: str
    content: bytes = field(repr=False)
    packed: bytes | None = field(repr=False)
    tag: str
    lasting: bool

    def answer(self, request: Request) -> Response:
        """The file, or 304 if the browser has it. A request for a part of it gets all of it, as RFC 9110 allows."""
        packed = self.packed if _takes_gzip(request) else None
        etag = f'"{self.tag}"' if packed is None else f'"{self.tag}-gzip"'
        headers = {"ETag": etag, "Accept-Ranges": "none"}
        if self.packed is not None:
            headers["Vary"] = "Accept-Encoding"
        if packed is not None:
            headers["Content-Encoding"] = "gzip"
        if _is_known(etag, request.headers.get("if-none-match", "")):
            headers.pop("Content-Encoding", None)
            return Response(status_code=304, headers=headers)
        answer = Response(self.content if packed is None else packed, headers=headers)
        answer.headers["Content-Type"] = self.kind
        return answer

    @property
    def cache_control(self) -> str:
        """How long browsers may keep it: for good, or only if they ask each time whether it is still the same."""
        return _LASTING if self.lasting else _CHECKED


@cache
def read_files(folder: Path) -> Mapping[str, WebFile]:
    """The files below a folder by their path in it, read once in the life of a process; none if there is no folder.

    Links and names that begin with a dot are left out: neither is made by a build.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in inside.parts)
        is_led_elsewhere = path.resolve() != folder.resolve() / inside
        if path.is_file() and not is_hidden and not is_led_elsewhere:
            files[inside.as_posix()] = _read(path, inside.as_posix())
    return files


def _read(path: Path, name: str) -> WebFile:
    content, ending = path.read_bytes(), path.suffix.lower()
    packed = None
    if ending in _PACKABLE and len(content) >= _LEAST_PACKED:
        packed = gzip.compress(content, mtime=0)
    return WebFile(
        kind=KINDS.get(ending, _ANY_KIND),
        content=content,
        packed=packed if packed is not None and len(packed) < len(content) else None,
        tag=hashlib.sha256(content).hexdigest()[:32],
        lasting=_HASHED.fullmatch(name) is not None,
    )


def _takes_gzip(request: Request) -> bool:
    accepted = ", ".join(request.headers.getlist("accept-encoding")).lower()
    return "gzip" in accepted and _REFUSES_GZIP.search(accepted) is None


def _is_known(etag: str, known: str) -> bool:
    return known.strip() == "*" or etag in {one.strip().removeprefix("W/") for one in known.split(",")}
