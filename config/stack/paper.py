"""The paper exchange on this machine: its command, and the token of its control API."""

import re
import secrets
import sys
from pathlib import Path

from config.secret_store import write_once
from config.settings import PAPER_TOKEN_FILE, Settings
from config.stack.guarded_process import Command, StackError

TOKEN_FILE = PAPER_TOKEN_FILE
_TOKEN = re.compile(r"[\w-]{16,}", re.ASCII)


def paper_command(settings: Settings, logs: Path, environment: dict[str, str]) -> Command:
    """The exchange, on 127.0.0.1, with its journal and, where one is wanted, the token of its controls."""
    ledger = settings.data_dir / "paper" / "ledger.jsonl"
    ledger.parent.mkdir(mode=0o700, exist_ok=True)
    token = ("--token-path", str(settings.data_dir / TOKEN_FILE)) if settings.paper_token_wanted else ()
    paper_token(settings.data_dir)
    argv = (
        *(sys.executable, "-P", "-m", "broker.paper"),
        *("--host", "127.0.0.1", "--port", str(settings.paper_port)),
        *("--ledger-path", str(ledger), *token),
        *("--redirect-url", settings.callback_url),
    )
    return Command("The paper exchange", argv, logs / "paper.log", environment)


def paper_token(data_dir: Path) -> str:
    """The token that `/paper/…` of the embedded exchange may ask for; made once, in a file of mode 0600.

    Raises:
        StackError: the file holds something else.
    """
    path = data_dir / TOKEN_FILE
    write_once(path, secrets.token_urlsafe(32) + "\n")
    token = path.read_text(encoding="ascii", errors="replace").strip()
    if not _TOKEN.fullmatch(token):
        raise StackError(f"{path} is damaged: remove it, and another one is made.")
    return token
