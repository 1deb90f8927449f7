"""The page at /docs: Swagger UI from files of this machine.

Its visitors type tokens into it. A script from a server of others would read them, so none is loaded.
"""

from enum import StrEnum
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, Response

from api.base.answers.own_headers import set_own_headers

DOCS_PATH = "/docs"
DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the page: Swagger UI sets styles by script, which needs no leave."""

# Paths are relative to the page, so that it works behind a proxy that puts a prefix before them.
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", layout: "BaseLayout", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
  responseInterceptor: (answer) => { delete answer.headers["content-disposition"]; return answer; }
});
"""
# Content-Disposition is for browsers that are led to an answer. Swagger UI would show a link in place of each answer.
_SCRIPT = "text/javascript"


class _File(StrEnum):
    SCRIPT = "swagger-ui-bundle.js"
    STYLE = "swagger-ui.css"
    START = "start.js"


def docs_router(path: str, title: str) -> APIRouter:
    """Routes of the page at `path` and of the files that it loads; the document is `openapi.json` beside it."""
    router = APIRouter(include_in_schema=False)

    @router.get(path)
    async def docs(request: Request) -> Response:
        set_own_headers(request.scope, {"Content-Security-Policy": DOCS_POLICY})
        return HTMLResponse(_PAGE.format(title=title))

    @router.get(f"{path}/{{name}}")
    async def docs_file(name: _File) -> Response:
        if name is _File.START:
            return Response(_START, media_type=_SCRIPT)
        return FileResponse(_directory() / name, media_type="text/css" if name is _File.STYLE else _SCRIPT)

    return router


@cache
def _directory() -> Path:
    # Only the files of the package are used. Looked up without importing it.
    return Path(str(distribution("fastapi-offline").locate_file("fastapi_offline/static")))
