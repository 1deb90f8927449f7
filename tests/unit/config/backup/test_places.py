"""Where a backup may be put: never over what it saves, and never in place of another file."""

import errno
from pathlib import Path

import pytest

from config.backup.archive import TEMPORARY
from config.backup.create import _where, make_backup
from config.backup.errors import BackupRefused
from config.backup.restore import _make_room
from tests.kit.stack import stack_settings


def refused(data_dir: Path, target: Path) -> str:
    """What is said of a place, with --force; what lies there stays."""
    with pytest.raises(BackupRefused) as refusal:
        make_backup(stack_settings(data_dir), target, replace_old=True)
    return str(refusal.value)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """One whose database lies behind a link, as that of root does."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "postgres").symlink_to(tmp_path / "kept")
    return tmp_path / "data"


@pytest.mark.parametrize("place", ["data/secrets.json", "data/backup.tar", "kept/PG_VERSION", "link/secrets.json"])
def test_no_backup_lies_in_the_data_directory(data_dir: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(data_dir)
    stack_settings(data_dir)  # makes the keys
    before = (data_dir / "secrets.json").read_bytes()
    assert "is in the data directory" in refused(data_dir, tmp_path / place)
    assert (data_dir / "secrets.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "JWT_SECRET=the only one\n", "manifest.json"])
def test_force_replaces_a_backup_and_nothing_else(data_dir: Path, tmp_path: Path, content: str) -> None:
    target = tmp_path / ".env"
    target.write_text(content)
    assert "is no backup of TradeActors" in refused(data_dir, target)
    assert target.read_text() == content


def test_force_replaces_no_device_and_no_link(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "link.tar").symlink_to(tmp_path / "nowhere")
    for target in (Path("/dev/null"), tmp_path / "link.tar"):
        assert "is no backup of TradeActors" in refused(data_dir, target)
    assert "is a directory; name a file in it" in refused(data_dir, tmp_path)
    assert Path("/dev/null").is_char_device()


def test_a_backup_of_yesterday_may_be_replaced(data_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "yesterday.tar"
    target.write_bytes(b"manifest.json\0 and what is left of a backup that was cut off")
    assert "no stack has run there yet" in refused(data_dir, target)


def test_a_place_that_is_read_is_named_beside_the_file_that_is_written() -> None:
    target = Path("/mnt/usb/b.tar")
    for place in (target, target.parent, target.parent / f"{TEMPORARY}x" / "database.dump", None):
        assert _where(OSError(errno.ENOSPC, "", place and str(place)), target) == ""
    for elsewhere in ("/srv/data/paper/ledger.jsonl", "/srv/tmp/ta-pg-x"):
        assert _where(OSError(errno.EISDIR, "", elsewhere), target) == f"{elsewhere}: "


def test_a_directory_that_is_none_of_ours_is_not_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(BackupRefused, match="holds files and no data of TradeActors, so it is not moved aside"):
        _make_room(tmp_path / "home", move_aside=True)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]
