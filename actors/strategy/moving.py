"""Whether a strategy may leave its process now, to go on in a new one on another node (`tradeactors drain`). Pure.

Leaving is a crash at a chosen moment: the next incarnation recovers as after any other (row J1, mechanism 12). The
moment is one in which nothing is on its way, no timer is near, and the second guard watches what is held (row M4).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.domain.strategy.state import Phase, StrategyState

NEAR_TIMER = timedelta(seconds=30)
"""How long before one of its instants a strategy stays where it is: as long as a new process may need at most."""

AT_WORK = "it is at work"
LOADING = "its run is being loaded"

_OF_PHASES = {
    Phase.PAUSED: "its BUY waits for the broker",
    Phase.ENTERING: "its BUY is on its way",
    Phase.ARMING: "its BUY has just filled",
    Phase.EXITING: "its exit is on its way",
    Phase.EXIT_FAILED: "its exit fails and is tried again",
    Phase.ENDED: "its run is ending",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a strategy says of itself to the operator who empties its node.

    `node_id`: where it runs. `holds`: it has shares. `well`: nothing of it waits for a guard, so the next strategy may
    move. `hindered`: why it cannot leave now; None if it can.
    """

    run_id: int
    node_id: str
    holds: bool
    well: bool
    hindered: str | None


def hindrance(state: StrategyState, now: datetime, *, shared: bool, at_rest: bool) -> str | None:
    """Why the strategy cannot leave now, in half a sentence; None if it can.

    `shared`: execution has confirmed that it watches the stop-loss as it is now, and hears its prices. `at_rest`: there
    is nothing that the strategy has not taken in, carried out and recorded.
    """
    if (of_phase := _OF_PHASES.get(state.phase)) is not None:
        return of_phase
    if state.entry.live or any(order.live for order in state.exits):
        return "an order of it is on its way"
    if state.unproven or state.restored is not None:
        return "it has not seen its account yet"
    guards = state.phase is Phase.GUARDING
    at, order = (state.run.sell_at, "SELL") if guards else (state.run.buy_at, "BUY")
    if at - now < NEAR_TIMER:
        return f"its {order} is at {at:%H:%M:%S}"
    if guards and not shared:
        return "the second guard has not confirmed its stop-loss"
    return None if at_rest else AT_WORK


def is_well(state: StrategyState, *, shared: bool) -> bool:
    """Whether both guards watch what the strategy holds, or nothing is to be guarded: none is held, or it is sold.

    This incarnation guards when it has had a tick of its own: a snapshot has none.
    """
    if state.phase is Phase.GUARDING:
        return state.feed_live and state.last_tick_at is not None and shared
    return state.phase not in {Phase.ARMING, Phase.EXIT_FAILED}
