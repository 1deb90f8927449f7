"""A trading day of the paper exchange's session that passes by itself, before clients whose clock is the machine's."""

from datetime import datetime, timedelta, timezone

from tests.kit.paper import PaperExchange, eventually
from tests.kit.paper_account import PaperAccount

IST = timezone(timedelta(hours=5, minutes=30))


def test_a_day_of_the_session_passes_by_itself_while_stamps_keep_the_clock(tmp_path: object) -> None:
    with PaperExchange(default_source="hold", ledger_path=f"{tmp_path}/ledger.jsonl") as paper:
        account = PaperAccount(paper, cash=100_000_000)
        day = {"now": "2026-11-30T15:11:00+05:30", "factor": 60}
        paper.control.session(on=True, token_flush=None, pace=day)
        order_id = account.place("OURS")
        account.reaches(order_id, "COMPLETE")
        stamped = account.row(order_id)["order_timestamp"]
        assert abs(datetime.now(IST).replace(tzinfo=None) - stamped) < timedelta(seconds=5)
        eventually(lambda: account.net() == 0, 5, "squared off at 15:12 of the session")
        paper.restart()
        assert paper.control.session()["now"] > "2026-11-30T15:12:00"
        paper.control.session(pace=None)
        assert abs(datetime.fromisoformat(paper.control.session()["now"]) - datetime.now(IST)) < timedelta(seconds=5)
