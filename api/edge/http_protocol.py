"""HTTP/1.1 as uvicorn speaks it, with an end to what comes before and after a body."""

import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 32 * 1024
"""How many bytes the request line and the headers of a request may have together; nginx takes as many by default."""

TOO_LARGE = f"The headers of a request may have {MAX_HEADER_BYTES // 1024} KiB"

_BODY = json.dumps({"detail": TOO_LARGE, "code": "headers_too_large"}).encode()
_FOR_BROWSERS = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n"
"""What is refused here never comes to the headers of `api.edge.middleware`."""
_ANSWER = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"%bcontent-length: %d\r\n\r\n%b" % (_FOR_BROWSERS, len(_BODY), _BODY)
)


class _HeadersTooLarge(Exception):
    """Ends the parsing of a request."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses headers, a request line and trailers that do not end: 431, and the connection is closed.

    uvicorn keeps all that arrives of them, before any token is looked at, and its parser keeps the line under way. What
    one read of the socket brings (256 KiB with uvloop) is parsed before it is measured.
    """

    _beside_bodies = 0
    _too_large = False

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        self._beside_bodies += len(data)
        super().data_received(data)
        if self._beside_bodies > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        """Count from here. The rest of this read is not counted here, but when the headers are complete."""
        self._beside_bodies = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to serve the request."""
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value)
        if size > MAX_HEADER_BYTES:
            self._too_large = True
            raise _HeadersTooLarge
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body, which `api.edge.middleware` counts."""
        self._beside_bodies = max(0, self._beside_bodies - len(body))
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and headers whose parsing we have ended."""
        if self._too_large:
            self._refuse()
        else:
            self.transport.write(_no_http(msg.encode("ascii")))
            self.transport.close()

    def _refuse(self) -> None:
        self.transport.write(_ANSWER)
        self.transport.close()


def _no_http(sentence: bytes) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n%bcontent-length: %d\r\n\r\n%b" % (
        _FOR_BROWSERS,
        len(sentence),
        sentence,
    )
