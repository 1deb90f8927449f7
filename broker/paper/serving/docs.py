"""The page at /paper/docs: Swagger UI from files of this machine, since the token of the controls is typed into it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from broker.paper.kite_api.request_gate import CONTROL_PREFIX

DOCS_PATH = f"{CONTROL_PREFIX}/docs"

router = APIRouter(include_in_schema=False)

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Paper exchange</title><link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body>
</html>
"""
START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});\n'
POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get(DOCS_PATH)
async def page() -> Response:
    """The page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get(f"{DOCS_PATH}/start.js")
async def start() -> Response:
    """The script that fills it."""
    return Response(START, media_type="text/javascript")


@router.get(f"{DOCS_PATH}/{{name}}")
async def file(name: Literal["swagger-ui-bundle.js", "swagger-ui.css"]) -> Response:
    """A file of Swagger UI."""
    return FileResponse(_directory() / name, media_type="text/css" if name.endswith(".css") else "text/javascript")


@cache
def _directory() -> Path:
    return Path(str(distribution("fastapi-offline").locate_file("fastapi_offline/static")))
