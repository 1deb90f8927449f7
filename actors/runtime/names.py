"""Names of the Ray actors, and which member of a pool serves whom. Every name is made and read here."""

from dataclasses import dataclass

NAMESPACE = "tradeactors"

FEED = "feed:0"

_STRATEGY = "strategy:"
_ROUTER = "router:"


@dataclass(frozen=True, slots=True)
class Pools:
    """Sizes of the pools; all processes of one deployment must agree on them."""

    execution: int = 1
    ledger: int = 1


def strategy_name(strategy_id: int) -> str:
    """`strategy:{id}`: one live actor per strategy is a property of the name (row D2)."""
    return f"{_STRATEGY}{strategy_id}"


def strategy_id_of(name: str) -> int | None:
    """The inverse of `strategy_name`; None for other actors."""
    digits = name.removeprefix(_STRATEGY)
    return int(digits) if name.startswith(_STRATEGY) and digits.isdigit() else None


def router_name(instrument_key: str) -> str:
    """`router:NSE:INFY`."""
    return f"{_ROUTER}{instrument_key}"


def execution_name(account_id: int, pools: Pools) -> str:
    """The pool member that serves the account, always the same: it holds its sessions and its order budget."""
    return f"execution:{account_id % pools.execution}"


def ledger_name(strategy_id: int, pools: Pools) -> str:
    """The pool member that writes for the strategy, always the same: its records stay in order."""
    return f"ledger:{strategy_id % pools.ledger}"


def pool_names(pools: Pools) -> tuple[list[str], list[str]]:
    """Every execution and every ledger actor."""
    return [f"execution:{n}" for n in range(pools.execution)], [f"ledger:{n}" for n in range(pools.ledger)]
