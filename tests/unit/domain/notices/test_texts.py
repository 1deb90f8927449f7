"""Sentences and amounts of notices (row N1)."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import InvalidValue
from actors.domain.notices import texts
from actors.domain.notices.notice import LONGEST_TEXT, Notice, NoticeKind, without_amounts

AT = datetime(2026, 11, 23, 3, 50, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0", "₹0.00"), ("7.5", "₹7.50"), ("999.995", "₹1,000.00"), ("1510", "₹1,510.00"), ("-108", "−₹108.00"),
        ("123456.7", "₹1,23,456.70"), ("1234567.00", "₹12,34,567.00"), ("123456789", "₹12,34,56,789.00"),
        ("-0.001", "₹0.00"),
    ],
)  # fmt: skip
def test_amounts_are_grouped_as_in_india(amount: str, written: str) -> None:
    assert texts.rupees(Decimal(amount)) == written


def test_a_gain_has_a_sign_too() -> None:
    assert (texts.signed(Decimal("412.5")), texts.signed(Decimal("-96.2"))) == ("+₹412.50", "−₹96.20")
    assert [texts.signed(Decimal(nothing)) for nothing in ("0", "0.001", "-0.001")] == ["₹0.00"] * 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bought 10 INFY at ₹1,510.00 (09:20:00). Stop-loss ₹1,500.00. Sells 15:10.",
         "Bought 10 INFY at ₹… (09:20:00). Stop-loss ₹…. Sells 15:10."),
        ("−₹108.00 before charges", "₹… before charges"),
        ("The margin is 95417.84 but available is 1,234", "The margin is ₹… but available is ₹…"),
        ("Rs.3020 or INR 5 or rs 12", "₹… or ₹… or ₹…"),
        ("up 2.50% at 09:20:00 on 2026-11-23", "up 2.50% at 09:20:00 on 2026-11-23"),
    ],
)  # fmt: skip
def test_a_locked_screen_shows_no_amount(text: str, shown: str) -> None:
    assert without_amounts(text) == shown


@given(st.decimals(min_value=Decimal(-(10**9)), max_value=10**9, places=2))
def test_no_digit_of_an_amount_is_left_of_it(amount: Decimal) -> None:
    assert not any(character.isdigit() for character in without_amounts(f"lost {texts.signed(amount)} today"))


def test_a_reason_becomes_a_sentence() -> None:
    assert [texts.sentence(reason) for reason in ("", " no  funds. ", "Already one")] == [
        "",
        "No funds.",
        "Already one.",
    ]


def test_a_notice_of_any_length_can_be_stored() -> None:
    notice = Notice(kind=NoticeKind.PANIC, key="k", text="₹1.00 " * 1000, at=AT)
    assert len(notice.shown) == len(notice.shown_in_public) == LONGEST_TEXT
    assert notice.shown_in_public.startswith("₹… ₹…")


@pytest.mark.parametrize("changes", [{"key": ""}, {"text": ""}, {"condition": ""}, {"at": datetime(2026, 11, 23)}])  # noqa: DTZ001
def test_a_notice_about_nothing_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        Notice(**({"kind": NoticeKind.PANIC, "key": "k", "text": "t", "at": AT} | changes))  # type: ignore[arg-type]
