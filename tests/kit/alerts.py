"""Where a stack under test sends its alerts: an Apprise `json://` address that this process serves."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class AlertInbox:
    """Alerts as they arrive; `url` belongs into ALERT_URLS. `messages` are their texts, in their order."""

    def __init__(self) -> None:
        self._received: list[tuple[int | None, str]] = []
        self.messages: list[str] = []
        received, messages = self._received, self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                title = str(body["title"])
                messages.append(str(body["message"]))
                strategy = re.search(r"strategy_id (\d+)", title)
                code = re.search(r"TradeActors: (\w+)", title)
                received.append((int(strategy[1]) if strategy else None, code[1] if code else title))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The address for Apprise."""
        return f"json://127.0.0.1:{self._server.server_address[1]}/"

    def codes(self, strategy_id: int) -> list[str]:
        """Codes of the alerts about a strategy, in their order."""
        return [code for strategy, code in self._received if strategy == strategy_id]

    @property
    def all_codes(self) -> list[str]:
        """Codes of everything that came, or its title where there is none."""
        return [code for _, code in self._received]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
