"""The id of a panic says when it was called (row N8)."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from persistence.database.models.panics import called_at, new_panic_id

INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(instant=INSTANTS)
def test_an_id_is_a_uuid_of_version_7_and_gives_the_millisecond_back(instant: datetime) -> None:
    made = new_panic_id(instant)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    found = called_at(uuid.UUID(str(made)))
    assert found is not None
    assert timedelta(0) <= instant - found <= timedelta(milliseconds=1)


@given(instant=INSTANTS)
def test_two_of_the_same_millisecond_are_different_and_in_the_order_of_time(instant: datetime) -> None:
    assert new_panic_id(instant) != new_panic_id(instant)
    assert new_panic_id(instant) < new_panic_id(instant + timedelta(milliseconds=2))


def test_another_id_says_nothing() -> None:
    assert called_at(uuid.uuid4()) is None
