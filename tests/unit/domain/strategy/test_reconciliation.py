"""What the order book says of a run that we may have known less about."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.orders.order import OrderReport, OrderStage
from actors.domain.strategy.reconciliation import adopt, duplicates, expected_tags
from actors.domain.strategy.state import StrategyState
from tests.kit.builders import a_report, a_run

RUN = a_run()
ENTRY_TAG = RUN.entry_intent().tag
FRESH = StrategyState.scheduled(RUN)


def exit_tag(seq: int) -> str:
    return RUN.exit_intent(seq, 1).tag


def tagged(tag: str | None, order_id: str, stage: OrderStage = OrderStage.OPEN, filled: int = 0) -> OrderReport:
    return a_report(order_id, stage, filled=filled, tag=tag)


def test_expected_tags_are_those_of_the_entry_and_of_exits_beyond_the_known_ones() -> None:
    assert expected_tags(FRESH)[:4] == [ENTRY_TAG, exit_tag(1), exit_tag(2), exit_tag(3)]
    known = adopt(FRESH, {exit_tag(1): a_report("2")})
    assert exit_tag(4) in expected_tags(known)


def test_empty_book_changes_nothing() -> None:
    assert adopt(FRESH, {}) == FRESH


def test_orders_are_adopted_by_tag_and_the_phase_is_left_alone() -> None:
    state = adopt(FRESH, {ENTRY_TAG: a_report("1"), exit_tag(1): a_report("2", OrderStage.OPEN, filled=4)})
    assert (state.entry.order_id, state.exits[0].order_id) == ("1", "2")
    assert (state.open_quantity, state.phase) == (6, FRESH.phase)


def test_exits_that_were_never_journalled_are_found() -> None:
    reports = {
        ENTRY_TAG: a_report("1"),
        exit_tag(1): a_report("2", OrderStage.CANCELLED, filled=4),
        exit_tag(2): a_report("3", filled=6, quantity=6),
    }
    state = adopt(FRESH, reports)
    assert [order.intent.id.seq for order in state.exits] == [1, 2]
    assert state.open_quantity == 0


def test_orders_of_strangers_are_ignored() -> None:
    stranger = a_run(run_id=8).entry_intent().tag
    assert adopt(FRESH, {stranger: a_report("9")}) == FRESH


def test_adopting_twice_is_adopting_once() -> None:
    reports = {ENTRY_TAG: a_report("1"), exit_tag(1): a_report("2", OrderStage.OPEN, filled=4)}
    once = adopt(FRESH, reports)
    assert adopt(once, reports) == once


def test_older_book_does_not_undo_what_is_known() -> None:
    done = adopt(FRESH, {ENTRY_TAG: a_report("1")})
    assert adopt(done, {ENTRY_TAG: a_report("1", OrderStage.OPEN, filled=2)}) == done


def test_one_order_for_a_tag_is_no_duplicate() -> None:
    assert duplicates([tagged("A", "1"), tagged("B", "2")]) == {}


def test_two_live_or_filled_orders_under_one_tag_are_duplicates() -> None:
    live, filled = tagged("A", "1"), tagged("A", "2", OrderStage.COMPLETE, 10)
    assert duplicates([live, tagged("B", "3"), filled]) == {"A": [live, filled]}


def test_order_that_died_without_a_fill_is_no_duplicate() -> None:
    dead = [tagged("A", "1", OrderStage.REJECTED), tagged("A", "2", OrderStage.CANCELLED)]
    assert duplicates([*dead, tagged("A", "3")]) == {}


def test_cancelled_order_that_filled_in_part_is_a_duplicate() -> None:
    assert "A" in duplicates([tagged("A", "1", OrderStage.CANCELLED, 4), tagged("A", "2")])


def test_orders_without_a_tag_are_never_duplicates() -> None:
    assert duplicates([tagged(None, "1"), tagged(None, "2")]) == {}


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "A", "B", "C"]), st.sampled_from(list(OrderStage)), st.sampled_from([0, 4])),
        max_size=12,
    )
)
def test_duplicates_are_exactly_the_tags_with_more_than_one_order_that_counts(
    found: list[tuple[str | None, OrderStage, int]],
) -> None:
    reports = [tagged(tag, str(n), stage, filled) for n, (tag, stage, filled) in enumerate(found)]
    dead = {OrderStage.REJECTED, OrderStage.CANCELLED}
    counting = [r for r in reports if r.tag is not None and (r.filled_quantity or r.stage not in dead)]
    expected = {
        tag: [r for r in counting if r.tag == tag] for tag in ("A", "B", "C") if sum(r.tag == tag for r in counting) > 1
    }
    assert duplicates(reports) == expected
    assert duplicates(replace(r) for r in reports) == expected
