"""What a START writes is what the actor begins with."""

from datetime import datetime, time

from actors.domain.identifiers import Instrument, Product
from actors.domain.session import SessionTimes
from actors.domain.strategy.events import RunRecovered
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import load_state
from actors.domain.strategy.spec import StrategyRun
from actors.domain.strategy.state import Phase
from api.strategies.new_run import first_intent, first_state, new_run
from broker.exchange_time import IST
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy

TIMES = SessionTimes(datetime(2026, 11, 24, 9, 30, tzinfo=IST), datetime(2026, 11, 24, 15, 10, tzinfo=IST))
MESSAGE = "Waiting to buy at 2026-11-24 09:30:00. Log in to your broker again before that"
STRATEGY = Strategy(
    id=7,
    user_id=3,
    exchange="NSE",
    tradingsymbol="M&M",
    instrument_token=519937,
    product="CNC",
    buy_time=time(9, 30),
    sell_time=time(15, 10),
    stop_loss_paise=300_000,
    quantity=10,
)


def stored_run() -> Run:
    run = new_run(STRATEGY, 5, TIMES, MESSAGE)
    run.id = 11
    return run


def described(run: Run) -> StrategyRun:
    return StrategyRun(
        run_id=11,
        strategy_id=7,
        user_id=3,
        account_id=5,
        instrument=Instrument("NSE", "M&M", 519937),
        product=Product.CNC,
        quantity=10,
        stop_loss=300_000,
        buy_at=TIMES.buy_at,
        sell_at=TIMES.sell_at,
        tag_key=run.tag_key,
    )


def test_the_actor_says_what_start_said_until_it_buys() -> None:
    run = stored_run()
    state = load_state(described(run), first_state(run, STRATEGY, IST))
    assert (state.phase, state.stop_loss, state.message) == (Phase.SCHEDULED, 300_000, MESSAGE)
    recovered, _ = step(state, RunRecovered(first=True), datetime(2026, 11, 23, 12, tzinfo=IST))
    assert (recovered.message, recovered.last_action) == (MESSAGE, "START")


def test_the_first_intent_is_the_one_that_the_actor_sends() -> None:
    run = stored_run()
    intent, wanted = first_intent(run, STRATEGY, IST), described(run).entry_intent()
    assert (intent.run_id, intent.leg, intent.seq, intent.side) == (11, "ENTRY", 1, "BUY")
    assert (intent.quantity, intent.cause, intent.tag) == (10, "BUY", wanted.tag)
