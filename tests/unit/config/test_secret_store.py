"""DATA_DIR/secrets.json: keys are added and removed without ever losing one, or the file."""

import base64
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.secret_store import SECRETS_FILE, change_keys, create_secrets, read_secrets, sync_directory
from tests.kit.machine_clock import compiler
from tests.kit.stack import temporary_data_dir

AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from config.secret_store import refuse_what_others_may_write
os.setuid(65533)
try:
    refuse_what_others_may_write(Path(sys.argv[1]) / "secrets.json")
except ValueError as refused:
    print(refused)
"""


NEW_KEYS = [base64.urlsafe_b64encode(bytes([number] * 32)).decode() for number in range(20)]


def test_a_change_keeps_everything_else_and_the_mode(tmp_path: Path) -> None:
    before = create_secrets(tmp_path)
    after = change_keys(tmp_path, lambda keys: (NEW_KEYS[0], *keys))
    assert after.encryption_keys == (NEW_KEYS[0], *before.encryption_keys)
    assert (after.jwt_secret, after.redis_password) == (before.jwt_secret, before.redis_password)
    assert read_secrets(tmp_path) == after
    assert stat.S_IMODE((tmp_path / SECRETS_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [SECRETS_FILE]


def test_changes_at_once_lose_no_key(tmp_path: Path) -> None:
    create_secrets(tmp_path)
    writers = [
        threading.Thread(target=change_keys, args=(tmp_path, lambda keys, new=new: (new, *keys))) for new in NEW_KEYS
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stored = read_secrets(tmp_path)
    assert stored is not None
    assert set(NEW_KEYS) < set(stored.encryption_keys)


def test_the_last_key_is_not_removed(tmp_path: Path) -> None:
    before = create_secrets(tmp_path)
    with pytest.raises(ValueError, match="at least one"):
        change_keys(tmp_path, lambda _: ())
    assert read_secrets(tmp_path) == before


def test_a_file_that_is_not_there_or_damaged_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        change_keys(tmp_path, lambda keys: keys)
    (tmp_path / SECRETS_FILE).write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        change_keys(tmp_path, lambda keys: keys)
    assert (tmp_path / SECRETS_FILE).read_text() == "{"


@pytest.mark.parametrize(("name", "mode"), [(SECRETS_FILE, 0o666), (SECRETS_FILE, 0o620), ("", 0o777), ("", 0o770)])
def test_secrets_that_others_may_have_planted_are_not_taken(tmp_path: Path, name: str, mode: int) -> None:
    create_secrets(tmp_path)
    (tmp_path / name).chmod(mode)
    for use in (read_secrets, create_secrets):
        with pytest.raises(ValueError, match=f"may be written by others .mode {mode:04o}.*chmod go-w"):
            use(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_secrets_of_another_user_are_not_taken() -> None:
    with temporary_data_dir() as data_dir:  # which others can reach
        create_secrets(data_dir)
        os.chown(data_dir / SECRETS_FILE, 65534, 65534)
        data_dir.chmod(0o755)
        line = [sys.executable, "-c", AS_ANOTHER_USER, str(data_dir)]
        taken = subprocess.run(line, capture_output=True, text=True, check=False)
        assert "belongs to the user with the id 65534" in taken.stdout, taken.stderr


def test_secrets_that_were_lost_are_not_made_again_for_a_database_that_needs_them(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "global").mkdir(parents=True)
    (tmp_path / "postgres" / "global" / "pg_control").write_bytes(b"x" * 8192)
    with pytest.raises(ValueError, match=r"secrets\.json is missing, without which the broker keys .* put it back, or"):
        create_secrets(tmp_path)
    (tmp_path / "restore.unfinished").touch()
    create_secrets(tmp_path)  # of a restore that is to be made again
    (tmp_path / "restore.unfinished").unlink()
    (tmp_path / SECRETS_FILE).unlink()
    assert create_secrets(tmp_path, keys_elsewhere=True) == read_secrets(tmp_path)


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    elsewhere, data_dir = tmp_path / "elsewhere", tmp_path / "data"
    create_secrets(elsewhere)
    data_dir.mkdir()
    (data_dir / SECRETS_FILE).symlink_to(elsewhere / SECRETS_FILE)
    change_keys(data_dir, lambda keys: ("new", *keys))
    assert json.loads((elsewhere / SECRETS_FILE).read_text())["encryption_keys"][0] == "new"
    assert (data_dir / SECRETS_FILE).is_symlink()


def test_a_file_system_that_cannot_make_a_directory_durable_does_its_best() -> None:
    sync_directory(Path("/proc/self"))  # refused there, as by folders shared with a virtual machine


WITHOUT_LINKS = """
#include <errno.h>
int link(const char *from, const char *to) { errno = EPERM; return -1; }
int linkat(int f, const char *from, int t, const char *to, int flags) { errno = EPERM; return -1; }
"""


@pytest.mark.skipif(compiler() is None, reason="a file system without hard links is imitated in C")
def test_a_file_system_without_hard_links_keeps_the_secrets_of_the_first(tmp_path: Path) -> None:
    source, library, kept = tmp_path / "links.c", tmp_path / "links.so", tmp_path / "kept"
    source.write_text(WITHOUT_LINKS, encoding="utf-8")
    subprocess.run([str(compiler()), "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    kept.mkdir(mode=0o700)
    program = (
        "import sys, pathlib; from config.secret_store import write_once; "
        "write_once(pathlib.Path(sys.argv[1]), sys.argv[2])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "LD_PRELOAD": str(library)}
    for content in ("the first", "the second"):
        line = [sys.executable, "-c", program, str(kept / "secret"), content]
        subprocess.run(line, env=environment, check=True)
    assert [path.name for path in kept.iterdir()] == ["secret"]
    assert (kept / "secret").read_text(encoding="utf-8") == "the first"
    assert stat.S_IMODE((kept / "secret").stat().st_mode) == 0o600
