"""`tradeactors backup` and `restore` as an operator runs them, as root and as a user, on the real PostgreSQL."""

import functools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from config.backup import archive
from config.secret_store import read_secrets
from config.settings import PREFIX
from config.stack.data_directory import find_running_stack
from tests.kit.stack import temporary_data_dir

pytestmark = pytest.mark.stack

STARTER = """
import sys
from pathlib import Path
from config.stack.stack import Part, Stack
from config.stack.guarded_process import StackError, interrupt_on_signals
from tests.kit.stack import stack_settings
try:
    with interrupt_on_signals(), Stack(stack_settings(Path(sys.argv[1])), parts=(Part.POSTGRES, Part.VALKEY)) as stack:
        print("ready", flush=True)
        stack.watch()
except StackError as refused:
    print(refused, flush=True)
"""
USER_ID = 1
"""Of the user `daemon`, whom every Linux knows."""


@functools.cache
def can_be_a_user() -> bool:
    """Whether this process is an ordinary user, or can start others that are, in a user namespace of theirs."""
    tried = [*AS_USER, sys.executable, "-c", "import os; print(os.geteuid())"]
    if os.geteuid() != 0:
        return True
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run(tried, capture_output=True, text=True, check=False)
    return done.stdout.strip() == str(USER_ID)


AS_USER = ("unshare", "--user", f"--map-user={USER_ID}", f"--map-group={USER_ID}")


@dataclass(frozen=True)
class Operator:
    """A person at a shell; `home` is where the data directories are."""

    prefix: tuple[str, ...]
    home: Path

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    @property
    def file(self) -> Path:
        return self.home / "backup.tar"

    def run(self, *arguments: str, answer: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
        line = [*self.prefix, sys.executable, "-P", "-m", "config.commands.cli", *arguments]
        environment = clean | {PREFIX + name: value for name, value in settings.items()}
        return subprocess.run(line, env=environment, input=answer, capture_output=True, text=True, check=False)

    def backup(self, *options: str, data_dir: Path | None = None) -> str:
        done = self.run("backup", str(self.file), "--data-dir", str(data_dir or self.data_dir), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def restore(self, data_dir: Path, *options: str) -> str:
        done = self.run("restore", str(self.file), "--yes", "--data-dir", str(data_dir), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str, **settings: str) -> str:
        done = self.run(*arguments, **settings)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    @contextmanager
    def stack(self, data_dir: Path | None = None) -> Iterator[str]:
        """The databases of a stack that runs; the address of PostgreSQL."""
        with self._starter(data_dir or self.data_dir) as said:
            assert said == "ready\n", said
            running = find_running_stack(data_dir or self.data_dir)
            assert running is not None
            yield running.environment[f"{PREFIX}DATABASE_URL"].replace("+psycopg", "")

    def start_refused(self, data_dir: Path) -> str:
        """What a start that does not come about says."""
        with self._starter(data_dir) as said:
            assert said != "ready\n"
            return said

    @contextmanager
    def _starter(self, data_dir: Path) -> Iterator[str]:
        line = [*self.prefix, sys.executable, "-c", STARTER, str(data_dir)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline()
        finally:
            process.terminate()
            process.communicate(timeout=40)


@pytest.fixture(params=["user", "root", "root, who keeps the database behind a link"])
def operator(request: pytest.FixtureRequest) -> Iterator[Operator]:
    with temporary_data_dir() as home:
        if request.param == "user":
            if not can_be_a_user():
                pytest.skip("no user namespaces here")
            yield Operator(() if os.geteuid() != 0 else AS_USER, home)
            return
        if os.geteuid() != 0:
            pytest.skip("only root")
        home.chmod(0o755 if request.param == "root" else 0o700)
        yield Operator((), home)
        for link in home.glob("*/postgres"):
            if link.is_symlink():
                shutil.rmtree(link.resolve(), ignore_errors=True)


@pytest.fixture
def user() -> Iterator[Operator]:
    """The operator of tests that are not about who he is: the one who runs them."""
    with temporary_data_dir() as home:
        home.chmod(0o755)
        yield Operator((), home)


def add_user(url: str, email: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO users (email, password_hash) VALUES (%s, 'x')", [email])


def emails(url: str) -> list[str]:
    """As a tenant of the first user sees them, who sees one row."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT set_config('role', 'tradeactors_tenant', true)")
        connection.execute("SELECT set_config('tradeactors.user_id', '1', true)")
        return [str(row[0]) for row in connection.execute("SELECT email FROM users").fetchall()]


def test_a_backup_of_a_running_stack_comes_back_on_an_empty_machine(operator: Operator) -> None:
    with operator.stack() as url:
        add_user(url, "asha@example.com")
        said = operator.backup()
        add_user(url, "later@example.com")
    assert "KEEP IT SECRET" in said
    assert stat.S_IMODE(operator.file.stat().st_mode) == 0o600
    before = read_secrets(operator.data_dir)
    shutil.rmtree((operator.data_dir / "postgres").resolve())
    shutil.rmtree(operator.data_dir)

    said = operator.restore(operator.data_dir)
    assert "Strategies that were running: 0." in said
    assert "must never start again" in said
    with operator.stack() as url, psycopg.connect(url) as connection:
        rows = connection.execute("SELECT email FROM users").fetchall()
        assert rows == [("asha@example.com",)]
        assert emails(url) == ["asha@example.com"]
    after = read_secrets(operator.data_dir)
    assert before is not None
    assert after is not None
    assert after.encryption_keys == before.encryption_keys
    assert after.jwt_secret != before.jwt_secret  # ids are given again, and access tokens name ids
    assert sorted(path.name for path in operator.home.iterdir()) == ["backup.tar", "data"]


def test_a_stack_that_does_not_run_can_be_backed_up(operator: Operator) -> None:
    with operator.stack() as url:
        add_user(url, "asha@example.com")
    operator.backup()
    assert find_running_stack(operator.data_dir) is None
    other = operator.home / "other"
    operator.restore(other)
    with operator.stack(other) as url:
        assert emails(url) == ["asha@example.com"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps its database elsewhere")
def test_a_copy_of_the_directory_without_the_database_behind_its_link_starts_nothing(user: Operator) -> None:
    user.home.chmod(0o700)
    with user.stack():
        pass
    link = user.data_dir / "postgres"
    assert link.is_symlink()
    target = link.resolve()
    shutil.rmtree(target)
    said = user.start_refused(user.data_dir)
    assert re.fullmatch(rf"{link} is a link to {target}, where there is no database: .*restore a backup.*\n", said)
    assert not target.exists()
    assert f"is a link to {target}" in user.refused("backup", str(user.file), "--data-dir", str(user.data_dir))
    shutil.rmtree(user.data_dir / "logs")
    assert user.start_refused(user.data_dir) == said


def test_secrets_without_their_database_start_nothing(user: Operator) -> None:
    with user.stack():
        pass
    shutil.rmtree(user.data_dir / "postgres")
    shutil.rmtree(user.data_dir / "logs")
    said = user.start_refused(user.data_dir)
    assert "has the secrets of a database that is missing" in said
    assert "tradeactors restore FILE" in said
    assert not (user.data_dir / "postgres").exists()


def test_secrets_of_another_database_start_nothing(user: Operator) -> None:
    other = user.home / "other"
    with user.stack(), user.stack(other):
        pass
    shutil.copy(other / "secrets.json", user.data_dir / "secrets.json")
    assert "is not the database that" in user.start_refused(user.data_dir)


def test_a_first_start_that_failed_is_no_lost_database(user: Operator) -> None:
    user.data_dir.mkdir(mode=0o700)
    (user.data_dir / "logs").mkdir()
    (user.data_dir / "logs" / "initdb.log").write_text("killed\n")
    with user.stack():
        pass


def test_a_directory_of_another_postgresql_says_how_to_move(user: Operator) -> None:
    with user.stack():
        pass
    (user.data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    said = user.start_refused(user.data_dir)
    assert "holds data of PostgreSQL 16" in said
    assert "tradeactors backup FILE" in said


def test_a_schema_of_a_later_version_is_refused_at_the_start_and_at_the_restore(user: Operator) -> None:
    with user.stack() as url:
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        user.backup()
    said = user.start_refused(user.data_dir)
    assert "its schema is of revision 9999" in said
    refused = user.refused("restore", str(user.file), "--yes", "--data-dir", str(user.home / "other"))
    assert "whose database has the schema 9999, which this version does not know" in refused
    assert not (user.home / "other").exists()


def test_nothing_is_restored_over_a_running_stack_or_over_data(user: Operator) -> None:
    with user.stack() as url:
        add_user(url, "asha@example.com")
        user.backup()
        add_user(url, "later@example.com")
        line = ("restore", str(user.file), "--yes", "--data-dir", str(user.data_dir))
        assert "a stack or another restore: stop it" in user.refused(*line, "--force")
    assert "is not empty" in user.refused(*line)
    with user.stack() as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)

    said = user.restore(user.data_dir, "--force")
    (aside,) = user.home.glob("data.before-restore-*")
    assert f"What was there before is in {aside}" in said
    with user.stack() as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)
    with user.stack(aside) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)


def test_a_restore_that_fails_leaves_everything_as_it_was(operator: Operator) -> None:
    with operator.stack() as url:
        add_user(url, "asha@example.com")
        operator.backup()
    spoil_the_dump(operator.file)
    line = ("restore", str(operator.file), "--yes", "--data-dir")
    said = operator.refused(*line, str(operator.data_dir), "--force")
    assert "pg_restore failed" in said
    empty = operator.home / "empty"
    (empty / "lost+found").mkdir(parents=True)  # a new disk
    empty.chmod(0o700)
    operator.refused(*line, str(empty))
    assert [path.name for path in empty.iterdir()] == ["lost+found"]
    assert sorted(path.name for path in operator.home.iterdir()) == ["backup.tar", "data", "empty"]
    with operator.stack() as url:
        assert emails(url) == ["asha@example.com"]


def spoil_the_dump(backup: Path) -> None:
    """Cut the dump off, and write the checksums to it, as no damage on the way could."""
    folder = backup.with_name("spoilt")
    folder.mkdir()
    with archive.open_backup(backup) as opened:
        manifest = opened.manifest
        files = {name: folder / name for name in manifest.files}
        for name, path in files.items():
            opened.copy(name, path)
    os.truncate(files[archive.DATABASE], manifest.files[archive.DATABASE].size // 2)
    described = {name: archive.describe(path) for name, path in files.items()}
    changed = archive.Manifest.from_json(
        (json.dumps(json.loads(manifest.to_json()) | {"files": {n: vars_of(m) for n, m in described.items()}})).encode()
    )
    archive.write_archive(backup, changed, files, replace_old=True)
    shutil.rmtree(folder)


def vars_of(member: archive.Member) -> dict[str, object]:
    return {"size": member.size, "sha256": member.sha256}


def test_it_asks_whether_the_earlier_stack_is_stopped(user: Operator) -> None:
    with user.stack():
        user.backup()
    other = user.home / "other"
    line = ("restore", str(user.file), "--data-dir", str(other))
    assert user.run(*line, answer="n\n").returncode == 1
    assert not other.exists()
    assert user.run(*line, answer="y\n").returncode == 0


def test_a_backup_takes_no_place_of_another_file_and_leaves_nothing_beside_it(user: Operator) -> None:
    user.file.write_text("something else")
    with user.stack():
        line = ("backup", str(user.file), "--data-dir", str(user.data_dir))
        assert "exists and is no backup" in user.refused(*line)
        assert "is no backup" in user.refused(*line, "--force")
        assert user.file.read_text() == "something else"
        assert "not to the standard output" in user.refused("backup", "-", "--data-dir", str(user.data_dir))
        assert "No such file" in user.refused("backup", "/does/not/exist/b.tar", "--data-dir", str(user.data_dir))
        user.file.write_bytes(b"manifest.json\0 of a backup that was cut off")
        user.backup("--force")
    assert sorted(path.name for path in user.home.iterdir()) == ["backup.tar", "data"]


def test_there_is_nothing_to_back_up_before_the_first_start(user: Operator) -> None:
    line = ("backup", str(user.file), "--data-dir", str(user.data_dir))
    assert "There is no data directory" in user.refused(*line)
    user.data_dir.mkdir(mode=0o700)
    assert "no stack has run there yet" in user.refused(*line)
    assert list(user.data_dir.iterdir()) == []


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_an_external_database_is_backed_up_by_its_own_means(user: Operator, command: str) -> None:
    url = "postgresql+psycopg://somewhere/else"
    said = user.refused(command, str(user.file), *(["--yes"] if command == "restore" else []), DATABASE_URL=url)
    assert "docs/operations.md" in said


def test_settings_and_the_calendar_come_back_and_differences_are_said(user: Operator) -> None:
    sessions = user.home / "sessions.toml"
    sessions.write_text('"2026-11-28" = "10:00-11:00"\n')
    with user.stack():
        pass
    made = {"CALENDAR_OVERRIDES": str(sessions), "LATE_EXIT": "hold", "ALERT_URLS": "json://user:secret@alerts"}
    line = (str(user.file), "--data-dir", str(user.data_dir))
    assert user.run("backup", *line, **made).returncode == 0
    with tarfile.open(user.file) as tar:
        content = tar.extractfile("manifest.json")
        assert content is not None
        assert b"secret" not in content.read().replace(b"secrets.json", b"")
    sessions.unlink()
    other = user.home / "other"
    said = user.restore(other)
    assert "TRADEACTORS_LATE_EXIT was hold, and is (not set) here." in said
    assert f"is now {other / 'sessions.toml'}: set the variable to it." in said
    assert (other / "sessions.toml").read_text() == '"2026-11-28" = "10:00-11:00"\n'


def test_keys_that_are_not_in_the_backup_are_missed_aloud(user: Operator) -> None:
    with user.stack() as url:
        add_user(url, "asha@example.com")
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO broker_accounts (user_id, broker, broker_user_id, api_key_hint, secrets_box, key_version, "
                "token_obtained_at) SELECT id, 'kite', 'AB1234', 'key1', '\\x01', 'of-a-variable', now() FROM users"
            )
            connection.execute(
                "INSERT INTO notification_channels (user_id, kind, hint, address_box, key_version, address_hash, "
                "state) SELECT id, 'email', 'a…', '\\x01', 'of-a-variable', sha256('a'), 'unverified' FROM users"
            )
        sealed = "1 broker connections and 1 channels of notices"
        assert f"{sealed} are sealed with other keys" in user.backup()
    assert f"{sealed} need keys" in user.restore(user.home / "other")
