"""A backup of a clock that was ahead proves nothing about the orders of the hours between."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.backup.archive import DATABASE, SECRETS, Manifest, describe, write_archive
from config.backup.errors import BackupRefused
from config.backup.restore import CLOCKS_DIFFER, restore_backup
from config.stack.postgres import postgres_version
from tests.kit.stack import stack_settings


def backup_of(folder: Path, at: datetime, revision: str) -> Path:
    """A file that is whole, of a database that is none."""
    files = {name: folder / name for name in (DATABASE, SECRETS)}
    for name, path in files.items():
        path.write_bytes(hashlib.sha256(name.encode()).digest())
    manifest = Manifest(
        backed_up_at=at,
        product_version="0.1.0",
        postgres_version=postgres_version(),
        revision=revision,
        while_running=False,
        files={name: describe(path) for name, path in files.items()},
    )
    write_archive(folder / "b.tar", manifest, files, replace_old=False)
    return folder / "b.tar"


@pytest.mark.parametrize("ahead", [CLOCKS_DIFFER + timedelta(minutes=1), timedelta(hours=1), timedelta(days=30_000)])
def test_it_is_refused_before_anything_is_touched(tmp_path: Path, ahead: timedelta, newest_revision: str) -> None:
    settings = stack_settings(tmp_path / "data")
    before = sorted(path.name for path in settings.data_dir.iterdir())
    with pytest.raises(BackupRefused, match="Put the clock right"):
        restore_backup(settings, backup_of(tmp_path, datetime.now(UTC) + ahead, newest_revision), move_aside=True)
    assert sorted(path.name for path in settings.data_dir.iterdir()) == before


@pytest.fixture
def newest_revision() -> str:
    from alembic.script import ScriptDirectory

    from persistence.database.engine import migration_config

    head = ScriptDirectory.from_config(migration_config()).get_current_head()
    assert head is not None
    return head
