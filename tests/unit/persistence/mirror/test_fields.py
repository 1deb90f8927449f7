"""What STOP answers from is what the database would have said."""

from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from actors.domain.orders.order import Order
from actors.domain.strategy.snapshot import runtime_view
from actors.domain.strategy.state import Phase, StrategyState
from actors.ports.strategy import JournalEntry
from actors.runtime.clients.journal_mapping import run_update
from persistence.database.models.runs import Run
from persistence.mirror.fields import ended_fields, runtime_fields
from tests.kit.builders import NOW, a_report, a_run


def never_bought() -> StrategyState:
    return replace(StrategyState.scheduled(a_run()), phase=Phase.ENDED, terminated_at=NOW, message="Stopped")


def sold() -> StrategyState:
    run, scheduled = a_run(), never_bought()
    entry = Order(run.entry_intent(), sent=True).merged(a_report("1"))
    exit_ = Order(run.exit_intent(1, 10), sent=True).merged(a_report("2"))
    return replace(scheduled, entry=entry, exits=(exit_,), last_price=150_010)


@pytest.mark.parametrize("state", [never_bought(), sold()], ids=["never bought", "sold"])
def test_the_fields_of_an_end_are_those_of_the_recorded_run(state: StrategyState) -> None:
    entry = JournalEntry(state, epoch=1, at=NOW + timedelta(seconds=1), ended=True, manual=True)
    before = Run(
        id=1, user_id=1, strategy_id=1, broker_account_id=1, quantity=10, stop_loss_paise=1, filled_quantity=0,
        status="running", position="none", status_detail="", last_action="", message="Armed", epoch=1,
        buy_at=NOW, sell_at=NOW, updated_at=NOW, tag_key=b"",
    )  # fmt: skip
    recorded = before.model_copy(update=asdict(run_update(entry).runtime) | {"ended_at": entry.at})
    now, then = runtime_fields(recorded, "INFY"), runtime_fields(before, "INFY")
    assert then | ended_fields(runtime_view(state), entry.at) == now
