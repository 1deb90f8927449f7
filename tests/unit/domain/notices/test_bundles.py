"""Several notices in one message: each is said or counted, in order, and money at risk never waits (row N1)."""

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.notices.bundles import MOST_OF_A_KIND, bundled, may_wait
from actors.domain.notices.notice import AT_RISK, NoticeKind


def test_each_has_a_line_in_order() -> None:
    notices = [(NoticeKind.EXIT_TIME, "Sold 10 INFY."), (NoticeKind.NOT_BOUGHT, "NOT bought: TCS.")]
    assert bundled(notices) == "Sold 10 INFY.\nNOT bought: TCS."


def test_more_than_five_of_a_kind_are_a_line_with_a_count() -> None:
    many = [(NoticeKind.EXIT_TIME, f"Sold {number}.") for number in range(6)]
    one = (NoticeKind.FILL_ENTRY, "Bought 10 INFY.")
    assert bundled([*many[:3], one, *many[3:]]) == "6 sales at their time: the inbox has each.\nBought 10 INFY."
    assert bundled(many[:5]).count("\n") == 4


def test_one_is_itself() -> None:
    assert bundled([(NoticeKind.SCHEDULE, "Paused.")]) == "Paused."


@given(
    st.lists(st.tuples(st.sampled_from(NoticeKind), st.text("abc", min_size=1, max_size=5)), min_size=1, max_size=40)
)
def test_every_kind_is_in_it_once_or_line_by_line(notices: list[tuple[NoticeKind, str]]) -> None:
    kinds = [kind for kind, _ in notices]
    lines = sum(1 if kinds.count(kind) > MOST_OF_A_KIND else kinds.count(kind) for kind in set(kinds))
    assert len(bundled(notices).split("\n")) == lines


def test_what_money_may_depend_on_does_not_wait() -> None:
    assert not any(map(may_wait, AT_RISK))
    assert not may_wait(NoticeKind.TEST)
    assert may_wait(NoticeKind.FILL_ENTRY)
