"""What `tradeactors restore` tells the operator: what goes on by itself, and what only people can look at."""

from datetime import UTC, datetime
from pathlib import Path

from config.backup.archive import Manifest
from config.backup.create import MadeBackup, first_damaged_line
from config.backup.restore import RestoredBackup
from config.commands.backup import backup_report, restore_report

MANIFEST = Manifest(
    backed_up_at=datetime(2026, 11, 27, 12, 30, tzinfo=UTC),
    product_version="0.1.0",
    postgres_version=18,
    revision="0013",
    while_running=True,
)


def report() -> str:
    restored = RestoredBackup(MANIFEST, open_runs=3, moved_aside=None, other_settings={}, calendar=None)
    return "\n".join(restore_report(restored, Path("/data")))


def test_it_says_what_users_whose_strategies_need_confirmation_can_say() -> None:
    assert "needs_confirmation" in report()
    assert "POST /strategy/{id}/held" in report()
    assert "POST /strategy/{id}/closed" in report()


def test_it_says_what_to_look_at_since_strategies_of_after_the_backup_are_not_known() -> None:
    assert "STRATEGIES THAT WERE STARTED AFTER THE BACKUP ARE NOT KNOWN HERE" in report()
    assert "Look at each account at the broker" in report()
    assert "Positions and holdings that no strategy here shows as bought" in report()
    assert "Open orders with a tag of twenty letters and digits" in report()


def test_a_damaged_ledger_of_the_exchange_is_not_kept_in_silence(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_bytes(b'{"kind": "clock", "record": {}}\n' + b"\0" * 40 + b'\n{"kind": "clock", "record": {}}\n')
    made = MadeBackup(tmp_path / "b.tar", 1, MANIFEST, first_damaged_line(ledger))
    assert any("ledger is damaged in line 2: `up` on it" in line for line in backup_report(made))
    ledger.write_bytes(b'{"kind": "clock", "record": {}}\n')
    assert first_damaged_line(ledger) is None
