"""A disk that fills up under the embedded parts: what they refuse, what is said, and what comes back by itself."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from config.backup.create import make_backup
from config.backup.restore import restore_backup
from config.settings import given_settings
from config.stack.guarded_process import StackError
from config.stack.stack import Part, Stack
from persistence.errors import MirrorUnavailable
from persistence.mirror.mirror import RuntimeMirror
from tests.kit.databases import PATIENT_S
from tests.kit.paper import eventually
from tests.kit.stack import stack_settings, temporary_data_dir

pytestmark = pytest.mark.stack

SHOWN = {"user_id": "1", "run_id": "1", "position": "bought", "symbol": "NSE:INFY"}


@contextmanager
def small_disk(megabytes: int = 160) -> Iterator[Path]:
    """A disk of that size, if this machine lets us have one."""
    with temporary_data_dir() as place:
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "none", str(place)]
        if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
            pytest.skip("only root can mount a small disk, and not in every container")
        try:
            yield place
        finally:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(65_536)) == 65_536:
                pass
        except OSError:
            return filler
    return filler


async def test_a_full_disk_stops_writes_shows_nothing_old_and_is_over_when_there_is_room() -> None:
    with small_disk() as disk, Stack(stack_settings(disk / "data"), parts=(Part.POSTGRES, Part.VALKEY)) as stack:
        mirror = RuntimeMirror.connect(stack.settings.redis_url, timeout_s=PATIENT_S)
        url = stack.settings.database_url.replace("+psycopg", "")
        try:
            await mirror.put_run(1, "NSE:INFY", {"symbol": "NSE:INFY"}, SHOWN)
            filler = fill(disk)
            assert await _refuses_writes(mirror)
            with pytest.raises(MirrorUnavailable):
                await mirror.get_status(1)
            with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.errors.DiskFull):
                connection.execute(
                    "CREATE TEMPORARY TABLE notes AS SELECT repeat('x', n) FROM generate_series(1, 9999) n"
                )
            filler.unlink()
            while await _refuses_writes(mirror):  # Valkey tries again each second
                pass
            assert (await mirror.get_status(1))[0]["position"] == "bought"
            with psycopg.connect(url, autocommit=True) as connection:
                assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        finally:
            await mirror.close()


async def _refuses_writes(mirror: RuntimeMirror) -> bool:
    # The last page of its file may have room for some, and the one that finds the disk full is taken, too.
    for _ in range(100):
        try:
            await mirror.put_run(1, "NSE:INFY", {"symbol": "NSE:INFY"}, SHOWN | {"position": "bought"})
        except MirrorUnavailable:
            return True
    return False


def test_a_start_on_a_full_disk_says_so_and_the_next_one_with_room_works() -> None:
    with small_disk() as disk:
        settings = stack_settings(disk / "data")
        filler = fill(disk)
        with pytest.raises(StackError, match="No space left on device"), Stack(settings, parts=(Part.VALKEY,)):
            pass
        filler.unlink()
        with Stack(settings, parts=(Part.VALKEY,), migrate=False):
            eventually((disk / "data" / "valkey" / "appendonlydir").exists, what="the first write")


def test_a_restore_without_room_says_what_to_do_and_names_no_log_that_it_removes(tmp_path: Path) -> None:
    with temporary_data_dir() as home, small_disk(5) as disk:
        with Stack(stack_settings(home / "data"), parts=(Part.POSTGRES,)):
            make_backup(stack_settings(home / "data"), tmp_path / "b.tar")
        with pytest.raises(StackError) as refusal:
            restore_backup(given_settings(None, data_dir=disk / "data"), tmp_path / "b.tar")
        said = str(refusal.value)
        assert "initdb failed" in said
        assert said.endswith("Make room there, or choose a place on another disk.")
        assert "Its log" not in said
        assert {path.name for path in (disk / "data").iterdir()} <= {"stack.lock"}
