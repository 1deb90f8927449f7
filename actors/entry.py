"""Where the `tradeactors` command begins: whether Python finds this product's packages, and not others of their names.

In this package, since many programs have a `config` or an `api`, and few have `actors`.
"""

import signal
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("api", "broker", "config", "persistence")


def main() -> None:
    """Run the command, or say in a sentence which other package stands in its way."""
    here = Path(__file__).resolve().parents[1]
    for name in _PACKAGES:
        found = _place_of(name)
        if found is not None and found.resolve() != here / name / "__init__.py":
            sys.exit(
                f"Python finds another package called {name}, {found}, before that of TradeActors: take its directory "
                "out of PYTHONPATH, or install TradeActors into a virtual environment of its own."
            )
    _loaded()()


def _loaded() -> Callable[[], None]:
    """The command with what it needs; an interrupt meanwhile ends the process, since nothing has begun."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is not signal.SIG_IGN:  # as `nohup` and a shell's `&` want it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Not as an import: config stands above this package, which else knows nothing of it.
    command: Callable[[], None] = import_module("config.commands.cli").app
    signal.signal(signal.SIGINT, heard)
    return command


def _place_of(name: str) -> Path | None:
    spec = find_spec(name)
    if spec is None:
        return None
    if spec.origin is not None:
        return Path(spec.origin)
    return next((Path(place) for place in spec.submodule_search_locations or ()), None)
