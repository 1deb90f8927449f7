"""The table of former symbols: each row has its date and its source, and leads to an end."""

import re
from datetime import date
from urllib.parse import urlsplit

from broker.market.former_symbols import former_symbols

CHANGES = former_symbols()


def test_every_change_says_when_it_was_what_it_was_and_who_says_so() -> None:
    assert len(CHANGES) > 50
    for change in CHANGES.values():
        assert date(2000, 1, 1) < change.on < date(2026, 11, 29)
        assert change.change in {"renamed", "merged"}
        assert len(change.source) > 10
        assert not urlsplit(change.source).scheme or change.source.startswith("https://")
        assert re.fullmatch(r"[A-Z0-9&-]{2,20}", change.symbol)
        assert re.fullmatch(r"[A-Z0-9&-]{2,20}", change.successor)


def test_no_symbol_leads_back_to_itself_and_no_later_symbol_to_an_earlier_change() -> None:
    for first in CHANGES.values():
        seen, change = {first.symbol}, first
        while (following := CHANGES.get(change.successor)) is not None:
            assert following.symbol not in seen
            assert following.on > change.on
            seen.add(following.symbol)
            change = following


def test_a_company_that_was_merged_is_known_with_its_date() -> None:
    change = CHANGES["HDFC"]
    assert (change.successor, change.on, change.change) == ("HDFCBANK", date(2023, 7, 1), "merged")
