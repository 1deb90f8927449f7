"""Names of the Ray actors, and which member of a pool serves whom. Every name is made and read here."""

from dataclasses import dataclass

NAMESPACE = "tradeactors"

_FEED = "feed:0"
_EXECUTION = "execution:"
_STRATEGY = "strategy:"
_ROUTER = "router:"


@dataclass(frozen=True, slots=True)
class Pools:
    """Sizes of the pools, and the brokers, each of which has its feed and its routers; all processes of one deployment
    must agree on them."""

    execution: int = 1
    ledger: int = 1
    brokers: tuple[str, ...] = ("paper",)

    def suffix(self, broker: str) -> str:
        """What the names of a broker's feed and routers end with: nothing for the first broker, `@kite` for another."""
        return "" if broker in {"", self.brokers[0]} else f"@{broker}"


def strategy_name(strategy_id: int) -> str:
    """`strategy:{id}`: one live actor per strategy is a property of the name (row D2)."""
    return f"{_STRATEGY}{strategy_id}"


def strategy_id_of(name: str) -> int | None:
    """The inverse of `strategy_name`; None for other actors."""
    digits = name.removeprefix(_STRATEGY)
    return int(digits) if name.startswith(_STRATEGY) and digits.isdigit() else None


def router_name(instrument_key: str, suffix: str = "") -> str:
    """`router:NSE:INFY`; `suffix` tells the broker (`Pools.suffix`), as in `router:NSE:INFY@kite`."""
    return f"{_ROUTER}{instrument_key}{suffix}"


def feed_name(suffix: str = "") -> str:
    """`feed:0`; `suffix` tells the broker, as in `feed:0@kite`."""
    return f"{_FEED}{suffix}"


def feed_names(pools: Pools) -> list[str]:
    """The feed of each broker."""
    return [feed_name(pools.suffix(broker)) for broker in pools.brokers]


def execution_name(account_id: int, pools: Pools) -> str:
    """The pool member that serves the account, always the same: it holds its connections and its order budget."""
    return f"{_EXECUTION}{account_id % pools.execution}"


def is_execution(name: str) -> bool:
    """Whether this is the name of an execution actor."""
    return name.startswith(_EXECUTION)


def ledger_name(strategy_id: int, pools: Pools) -> str:
    """The pool member that writes for the strategy, always the same: its records stay in order."""
    return f"ledger:{strategy_id % pools.ledger}"


def pool_names(pools: Pools) -> tuple[list[str], list[str]]:
    """Every execution and every ledger actor."""
    return [f"{_EXECUTION}{n}" for n in range(pools.execution)], [f"ledger:{n}" for n in range(pools.ledger)]
