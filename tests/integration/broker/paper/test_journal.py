"""The paper exchange on a full disk."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest
from kiteconnect import exceptions as kite_errors

from tests.kit.paper import PaperExchange
from tests.kit.paper_account import PaperAccount

if TYPE_CHECKING:
    from pathlib import Path


def test_a_journal_that_cannot_be_written_stops_new_orders_and_no_old_one(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with PaperExchange(ledger_path=ledger, default_source="hold", stage_seconds=0.2) as paper:
        account = PaperAccount(paper)
        on_its_way = account.place("IN")
        _, hard = resource.prlimit(paper.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(paper.pid, resource.RLIMIT_FSIZE, (ledger.stat().st_size + 10, hard))
        account.reaches(on_its_way, "COMPLETE")
        with pytest.raises(kite_errors.NetworkException) as refused:
            account.place("LOST")
        assert refused.value.code == 503
        assert [row["tag"] for row in account.kite.orders()] == ["IN"]
        resource.prlimit(paper.pid, resource.RLIMIT_FSIZE, (hard, hard))
        account.reaches(account.place("AFTER"), "COMPLETE")
        before = (account.kite.orders(), account.kite.positions(), account.requests())

        paper.restart()

        account.kite = account.client(account.credentials.access_token)
        assert (account.kite.orders(), account.kite.positions(), account.requests()) == before
        assert account.net() == 20
