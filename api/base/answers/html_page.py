"""Small pages for a browser that was led here: a title and some sentences, no script, nothing loaded."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape

from starlette.responses import HTMLResponse

_STYLE = (
    "body{font:18px/1.5 system-ui,sans-serif;max-width:34em;margin:3em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.4em}code{word-break:break-all;background:#eee;padding:.1em .3em}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of these pages: their own style, and nothing else."""

_FRAME = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
{body}
</body>
</html>
"""


def html_text(title: str, sentences: Sequence[str], code: str | None = None) -> str:
    """The text of a page. All of it is escaped; `code` stands by itself below the sentences, to be copied."""
    paragraphs = [f"<p>{escape(sentence)}</p>" for sentence in sentences]
    if code is not None:
        paragraphs.append(f"<p><code>{escape(code)}</code></p>")
    return _FRAME.format(title=escape(title), style=_STYLE, body="\n".join(paragraphs))


def html_page(
    status: int,
    title: str,
    sentences: Sequence[str],
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """An answer with such a page; the edge adds `PAGE_POLICY` and the other headers of security."""
    return HTMLResponse(html_text(title, sentences, code), status, headers)
