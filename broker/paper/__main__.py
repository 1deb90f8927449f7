"""``python -m broker.paper``: the paper exchange from the command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from broker.paper.base.config import PaperConfig
from broker.paper.base.errors import UnreadableFileError
from broker.paper.serving.callers import read_token
from broker.paper.serving.server import run

if TYPE_CHECKING:
    from collections.abc import Callable


def _on_or_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError("must be on or off")
    return text == "on"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "host": (str, "address to bind"),
    "port": (int, "port to bind, 0 = any free one"),
    "ledger_path": (Path, "journal file; without it the ledger is in memory"),
    "token_path": (Path, "file with the token that the control API asks for; without it, it asks for none"),
    "allowed_hosts": (_names, "names by which the exchange may be called, beside those of this machine; comma list"),
    "instruments_path": (Path, "instrument list in Kite's CSV format"),
    "seed": (int, "seed of the random walks"),
    "default_source": (str, "walk or hold"),
    "walk_volatility": (float, "standard deviation of one step, share of the price"),
    "tick_seconds": (float, "seconds between two ticks of an instrument"),
    "heartbeat_seconds": (float, "seconds between two heartbeats on a socket"),
    "liquidity_per_tick": (int, "shares that trade per tick; without it no limit"),
    "stage_seconds": (float, "seconds per step of an order's status walk"),
    "reply_seconds": (float, "seconds before an order request is answered"),
    "starting_cash_paise": (int, "cash of a new account, in paise"),
    "orders_per_second": (int, "order requests per account and calendar second, 0 = no cap"),
    "orders_per_minute": (int, "the same per minute"),
    "orders_per_day": (int, "the same per day"),
    "clock_at": (str, "time to set the exchange's clock to, such as 2026-11-30T09:00:00+05:30"),
    "clock_factor": (float, "exchange seconds per second"),
    "redirect_url": (str, "where the login page leads back to, such as http://127.0.0.1:8000/broker/callback"),
    "login_password": (str, "password of every account at the login page"),
    "session": (_on_or_off, "on: keep the hours of an Indian trading day; off: open round the clock"),
    "keep_alive_seconds": (int, "idle time after which an HTTP connection is closed"),
}


def main(arguments: list[str] | None = None) -> None:
    """Serve until stopped; the first line on stdout is JSON with the address, printed once it is bound."""
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    config = parse(arguments)

    def announce(port: int) -> None:
        sys.stdout.write(json.dumps({"event": "listening", "url": f"http://{config.host}:{port}"}) + "\n")
        sys.stdout.flush()

    try:
        run(config, on_listening=announce)
    except UnreadableFileError as damaged:
        sys.exit(f"{damaged}.")
    except OSError as refused:
        where = refused.filename or f"{config.host}:{config.port}"
        sys.exit(f"Cannot use {where}: {refused.strerror}; name another one.")
    except KeyboardInterrupt:
        # Ctrl-C is the ordinary way to stop; uvicorn raises it again after an orderly shutdown.
        sys.exit(130)


def parse(arguments: list[str] | None) -> PaperConfig:
    """The settings that the command line gives; the rest keep their defaults."""
    parser = argparse.ArgumentParser(prog="python -m broker.paper", description=__doc__)
    defaults = {field.name: field.default for field in dataclasses.fields(PaperConfig)}
    for name, (kind, text) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=defaults[name], help=text)
    given = vars(parser.parse_args(arguments))
    try:
        config = PaperConfig(**given)
        if config.token_path is not None:
            read_token(config.token_path)
    except ValueError as error:
        parser.error(str(error))
    return config


if __name__ == "__main__":
    main()
