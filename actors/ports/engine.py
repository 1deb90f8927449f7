"""The engine as the API sees it. `actors.runtime.driver.engine.RayEngine` is the real one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # each strategy would pay for it
    import asyncio

    from actors.domain.orders.order_address import SeenAddress


class EngineUnavailable(Exception):
    """The engine does not answer. What the database says stays true, and the next recovery sweep carries it out."""


@dataclass(frozen=True, slots=True)
class StopResult:
    """What a STOP came to.

    `flat`: nothing is open any more and the run is recorded as ended; otherwise the exit is still working. `status`:
    fields of `runtime:{id}` in their text forms (`persistence.mirror.mirror`) that are newer than the database. `gone`:
    done when the strategy's process has ended, or seems not to; None if there is none.
    """

    flat: bool
    status: Mapping[str, str] = field(default_factory=dict)
    gone: "asyncio.Future[None] | None" = None


@dataclass(frozen=True, slots=True)
class WordTaken:
    """The result of a trader's word about his shares.

    `done`: it was carried out. Otherwise the account contradicts it, or there was nothing to say it of: `held` are the
    shares of this run that it shows, None if the strategy holds nothing to speak of.
    """

    done: bool
    held: int | None = None


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """One recovery sweep: open runs found, and the results."""

    found: int
    recovered: int
    failed: int = 0


class StrategyEngine(Protocol):
    """Runs strategies. Every call may be repeated, and raises `EngineUnavailable` if the engine does not answer."""

    def expect_start(self, strategy_id: int) -> None:
        """A strategy was made, and its START is likely to follow. Never fails, promises nothing."""

    def ask_broker_now(self, strategy_ids: Collection[int]) -> None:
        """Their account has a new access token: those that wait for the broker ask it at once.

        Never fails, promises nothing: each asks by itself within ten seconds.
        """

    async def ensure_running(self, run_id: int, strategy_id: int, label: str = "") -> None:
        """When it returns, exactly one actor looks after the open run (row D2).

        `label`: what engineers find the actor by (`run_label`).
        """

    async def stop(self, run_id: int, strategy_id: int, timeout_s: float) -> StopResult:
        """Row I1: sell what is open and end this run; waits at most `timeout_s` seconds for it."""

    async def forbid_entries(self, user_id: int) -> bool:
        """Row N8: no BUY of the user leaves any more; whether all of execution has heard it. Never fails.

        It outlives no process: the marks in PostgreSQL and Redis do.
        """

    async def stop_all_of(self, user_id: int) -> frozenset[int]:
        """Row N8: STOP to every strategy of the user that can be reached without PostgreSQL, Redis or Ray's head.

        The ids of those that have heard it; their exits are under way. Never fails.
        """

    async def account_shares(self, account_id: int) -> Mapping[tuple[str, str, str], int]:
        """What the account holds or owes, by exchange, tradingsymbol and product; of any origin."""

    async def order_addresses(self) -> "Sequence[SeenAddress]":
        """The address that Kite sees orders come from, of each place that they leave from (kite.md §4.7).

        Never fails: a place that does not answer is not known. Answers may be a minute old.
        """

    async def silent_gateways(self) -> "tuple[Sequence[str], int]":
        """The places that orders leave from which do not answer within seconds, and how many there are in all.

        Never fails.
        """

    async def move_stop(self, strategy_id: int, stop_loss_paise: int, stop_share: int | None = None) -> bool | None:
        """When it returns, the running strategy exits at the new stop-loss, and that is recorded.

        Whether the second guard has it too (row M4); None if nothing is guarded.
        """

    async def closed_by_trader(self, run_id: int, strategy_id: int, timeout_s: float) -> WordTaken:
        """The trader's word that he sold himself: the run ends, unless the account shows that it still holds shares.

        Of a run that has ended and waits for his word, it ends the doubt.
        """

    async def held_by_trader(self, run_id: int, strategy_id: int) -> WordTaken:
        """The trader's word that he still holds what was taken for sold: the ended run guards it again."""

    async def recover(self) -> RecoveryReport:
        """Row J1: make sure that every open run has its actor."""

    async def emptied_nodes(self) -> "Sequence[str]":
        """The addresses of the nodes on which no strategy begins, since an operator empties them."""

    async def health(self) -> dict[str, object]:
        """Figures of the engine; answering at all means that it is there."""

    async def close(self) -> None:
        """Close the connection; the strategies run on."""
