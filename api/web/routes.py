"""`/app/`: the files of the app. Not part of the described API, and free of tokens and limits of users.

A browser that opens the address of the API itself is led there.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from api.base.answers.html_page import html_page
from api.base.answers.own_headers import set_own_headers
from api.web.files import WebFile, read_files

BUNDLE = Path(__file__).with_name("dist")
"""The files that `make web` builds. They are committed: the product runs without Node."""

APP_PATH = "/app"

APP_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html app-worker"
)
"""The Content-Security-Policy of the app. Its two policies of Trusted Types are Svelte's own, which makes elements of
compiled templates, and the app's for the address of its service worker."""

APP_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": APP_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(
        f"{what}=()"
        for what in (
            "accelerometer", "autoplay", "bluetooth", "camera", "display-capture", "encrypted-media", "geolocation",
            "gyroscope", "hid", "magnetometer", "microphone", "midi", "payment", "serial", "usb", "xr-spatial-tracking",
        )
    ),
    "Referrer-Policy": "same-origin",
}  # fmt: skip
"""What every file of the app has beside or in place of the edge's headers. `no-referrer` would make a browser send
`Origin: null` with some requests, and the session of browsers needs their origin."""

_SCREEN = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]*")
"""Addresses of screens: no dot, so that a file that is missing is never answered by the page in its place."""

_ASSETS = "assets/"
_INDEX = "index.html"
_METHODS = ["GET", "HEAD"]


def web_router(bundle: Path = BUNDLE) -> APIRouter:
    """Routes of the app, whose files are read now."""
    files = read_files(bundle)
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=_METHODS)
    async def first_page(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(404)
        return _led_to_the_app()

    @router.api_route(APP_PATH, methods=_METHODS)
    async def without_slash() -> Response:
        return _led_to_the_app()

    @router.api_route(f"{APP_PATH}/{{name:path}}", methods=_METHODS)
    async def app_file(name: str, request: Request) -> Response:
        file = _file_of(files, name)
        if file is None:
            return _not_built()
        set_own_headers(request.scope, {**APP_HEADERS, "Cache-Control": file.cache_control})
        return file.answer(request)

    return router


def _file_of(files: Mapping[str, WebFile], name: str) -> WebFile | None:
    """What an address below /app/ shows: a file, or the page where it is a screen's. 404 for anything else.

    None where there is no page, because nothing was built.
    """
    if name in files:
        return files[name]
    if _SCREEN.fullmatch(name) is None or name.startswith(_ASSETS):
        raise HTTPException(404)
    return files.get(_INDEX)


def _led_to_the_app() -> Response:
    # Relative, so that it holds behind a proxy that puts a prefix before our paths.
    return RedirectResponse(f"{APP_PATH.removeprefix('/')}/", 307)


def _not_built() -> Response:
    return html_page(
        404,
        "The app is not here",
        [
            "This server runs without the files of the app. The API itself works.",
            "Its operator can build them with “make web” in the source folder, and start the server again.",
        ],
    )
