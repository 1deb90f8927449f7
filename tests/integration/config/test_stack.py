"""PostgreSQL and Valkey as `up` runs them: what survives, what is refused, and that nothing is ever left behind."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from config.settings import SettingsError
from config.stack.data_directory import NO_SOCKETS, AlreadyRunningError, find_running_stack
from config.stack.guarded_process import Command, GuardedProcess, StackError, free_ports, require_free_port
from config.stack.postgres_alone import postgres_alone
from config.stack.stack import Part, Stack
from tests.kit.stack import stack_settings, temporary_data_dir

pytestmark = pytest.mark.stack

DATABASES = (Part.POSTGRES, Part.VALKEY)
STARTER = """
import signal
import sys
from pathlib import Path
from config.stack.stack import Part, Stack
from config.stack.guarded_process import interrupt_on_signals
from tests.kit.stack import stack_settings
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with interrupt_on_signals(), Stack(
    stack_settings(Path(sys.argv[1])), parts=(Part.POSTGRES, Part.VALKEY), migrate=False
) as stack:
    print("ready", flush=True)
    stack.watch()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with temporary_data_dir() as path:
        yield path


def databases(data_dir: Path) -> Stack:
    return Stack(stack_settings(data_dir), parts=DATABASES, migrate=False)


@contextmanager
def starter(data_dir: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that runs a stack and would go on without limit, also where `nohup` has begun the tests."""
    process = subprocess.Popen([sys.executable, "-c", STARTER, str(data_dir)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()
        eventually(lambda: not processes_of(data_dir))


def processes_of(data_dir: Path) -> list[str]:
    """The command lines of all processes that name the directory, this one apart."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(data_dir) in line:
                found.append(f"{entry.name} {line}")
    return found


def eventually(holds: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "the condition never came to hold"
        time.sleep(0.02)


def sockets_of(database_url: str) -> Path:
    return Path(database_url.partition("host=")[2])


def run_sql(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    url = stack.settings.database_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def valkey(stack: Stack) -> "redis.Redis":
    return redis.Redis.from_url(stack.settings.redis_url, decode_responses=True)


def test_a_restart_keeps_the_data_and_leaves_nothing_running(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        run_sql(stack, "CREATE TABLE notes (text TEXT)")
        run_sql(stack, "INSERT INTO notes VALUES ('kept')")
        valkey(stack).set("note", "kept")
    assert processes_of(data_dir) == []
    assert find_running_stack(data_dir) is None

    with databases(data_dir) as stack:
        assert run_sql(stack, "SELECT text FROM notes") == [("kept",)]
        assert valkey(stack).get("note") == "kept"


def test_the_databases_let_nobody_else_in(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        password = stack.settings.redis_url.rpartition("@")[0].rpartition(":")[2]
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(stack.environment["TRADEACTORS_REDIS_URL"].replace("default@", "")).ping()
        assert sockets_of(stack.settings.database_url).stat().st_mode & 0o077 == 0
        assert password not in " ".join(processes_of(data_dir))
        assert password not in str(stack.environment)
        assert run_sql(stack, "SHOW listen_addresses") == [("",)]


def test_a_stranger_on_the_port_that_valkey_would_have_taken_is_told_no_password(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        address = urlsplit(stack.environment["TRADEACTORS_REDIS_URL"])
        directory = Path(address.path).parent
        assert valkey(stack).config_get("port") == {"port": "0"}  # there is no port that he could take first
        assert address.scheme == "unix"
        assert directory.stat().st_mode & 0o077 == 0
        assert directory.stat().st_uid == os.geteuid()
    assert not directory.exists()


@pytest.mark.parametrize("mode", [0o775, 0o707])
def test_a_data_directory_that_others_may_write_starts_nothing(data_dir: Path, mode: int) -> None:
    stack = databases(data_dir)
    data_dir.chmod(mode)
    with pytest.raises(StackError, match=r"^TRADEACTORS_DATA_DIR: [^\n]* may be written by others [^\n]*\.$"), stack:
        pass
    assert not (data_dir / "logs").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_root_starts_nothing_on_the_data_directory_of_another_user(data_dir: Path) -> None:
    stack = databases(data_dir)
    os.chown(data_dir, 65534, 65534)
    with pytest.raises(StackError, match=r"^TRADEACTORS_DATA_DIR: [^\n]* belongs to the user with the id 65534"), stack:
        pass


def test_killing_the_starter_leaves_no_process_and_the_next_start_recovers(data_dir: Path) -> None:
    with starter(data_dir) as process:
        running = find_running_stack(data_dir)
        assert running is not None
        assert running.pid == process.pid
        url = running.environment["TRADEACTORS_DATABASE_URL"].replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE notes (text TEXT)")
        process.send_signal(signal.SIGKILL)
        process.wait()
        # Before the guardians have finished: the new start has to wait for them.
        with databases(data_dir) as stack:
            assert run_sql(stack, "SELECT count(*) FROM notes") == [(0,)]
            assert not sockets_of(url).exists()


def test_a_crash_of_the_machine_is_recovered_even_when_the_pid_is_taken_by_another_process(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        run_sql(stack, "CREATE TABLE notes (text TEXT)")
    stale = f"{os.getpid()}\n{data_dir}/postgres\n1700000000\n5432\n/tmp\n\n  1  1\nready   \n"
    (data_dir / "postgres" / "postmaster.pid").write_text(stale)

    with databases(data_dir) as stack:
        assert run_sql(stack, "SELECT count(*) FROM notes") == [(0,)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_stop_everything_in_order(number: signal.Signals, data_dir: Path) -> None:
    with starter(data_dir) as process:
        process.send_signal(number)
        process.wait(20)
        assert processes_of(data_dir) == []
        assert "database system is shut down" in (data_dir / "logs" / "postgres.log").read_text()


def test_a_second_start_on_the_same_directory_is_refused_and_says_who_runs(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        with pytest.raises(AlreadyRunningError, match=f"already running: pid {os.getpid()}"), databases(data_dir):
            pass
        assert valkey(stack).ping()


def test_a_lock_that_was_removed_lets_no_command_take_the_database_for_an_orphan(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        server = (data_dir / "postgres" / "postmaster.pid").read_text()
        (data_dir / "stack.lock").unlink()
        with (
            pytest.raises(StackError, match=rf"uses [^ ]*/postgres \(process {server.split()[0]}\), though the file"),
            postgres_alone(data_dir),
        ):
            pass
        assert run_sql(stack, "SELECT 1") == [(1,)]
    with databases(data_dir) as stack:
        assert run_sql(stack, "SELECT 1") == [(1,)]


def test_a_stack_puts_its_lock_back_and_says_once_that_its_sockets_are_gone(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        said: list[str] = []
        (data_dir / "stack.lock").unlink()
        sockets = sockets_of(stack.settings.database_url)
        watching = threading.Thread(target=lambda: stack.watch(said.append))
        watching.start()
        eventually(lambda: find_running_stack(data_dir) is not None)
        kept = sockets.rename(sockets.with_name("ta-pg-moved"))
        eventually(lambda: bool(said))
        kept.rename(sockets)
        stack._stopping.set()
        watching.join()
    assert said == [f"{NO_SOCKETS}: {sockets}. Stop this (Ctrl-C) and start it again."]


def test_a_part_that_dies_after_its_log_was_removed_is_named_nevertheless(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        pid = int(valkey(stack).info("server")["process_id"])
        shutil.rmtree(data_dir / "logs")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            StackError, match=r"The Valkey has died with code 137, (?s:.*)valkey\.log, cannot be read: No"
        ):
            stack.watch()


def test_what_cannot_be_kept_of_a_part_keeps_nothing_else_from_going(tmp_path: Path) -> None:
    session, lost = tmp_path / "session", tmp_path / "lost" / "logs"
    (session / "logs").mkdir(parents=True)
    command = Command("x", ("sleep", "60"), tmp_path / "x.log", keep=((session / "logs", lost),), remove=(session,))
    part = GuardedProcess(command)
    part.stop()
    assert not session.exists()
    assert (tmp_path / "x.log").read_text() == ""


def test_two_parts_on_one_port_are_refused_before_anything_is_started(data_dir: Path) -> None:
    port = free_ports(1)[0]
    said = f"^TRADEACTORS_API_PORT and TRADEACTORS_PAPER_PORT are both {port}: give each a port of its own, or 0"
    with pytest.raises(StackError, match=said), Stack(stack_settings(data_dir, api_port=port, paper_port=port)):
        pass


def test_a_part_that_fails_to_start_stops_the_others_and_shows_its_log(data_dir: Path) -> None:
    stack = databases(data_dir)
    (data_dir / "valkey" / "appendonlydir").mkdir(parents=True)
    (data_dir / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")

    with pytest.raises(StackError, match=r"(?s)Valkey ended with code 1 .*manifest"), stack:
        pass

    assert processes_of(data_dir) == []
    assert not sockets_of(stack.settings.database_url).exists()
    assert find_running_stack(data_dir) is None


def test_a_part_that_dies_is_noticed(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        pid = int(valkey(stack).info("server")["process_id"])
        os.kill(pid, signal.SIGKILL)

        with pytest.raises(StackError, match="The Valkey has died with code 137"):
            stack.watch()


def test_a_taken_port_is_reported_with_the_variable_to_change(data_dir: Path) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        settings = stack_settings(data_dir, dashboard_port=port)

        with (
            pytest.raises(StackError, match=f"Port {port} .* Ray dashboard.* TRADEACTORS_DASHBOARD_PORT"),
            Stack(settings),
        ):
            pass

    require_free_port("127.0.0.1", port, "TRADEACTORS_DASHBOARD_PORT", "Ray dashboard")


def test_external_parts_are_not_started(data_dir: Path) -> None:
    with databases(data_dir) as first, temporary_data_dir() as other:
        urls = {"database_url": first.settings.database_url, "redis_url": first.settings.redis_url}
        secrets = {"jwt_secret": "j" * 32, "encryption_keys": ("a" * 43 + "=",)}
        with Stack(stack_settings(other, **urls, **secrets), parts=DATABASES, migrate=False) as second:
            assert run_sql(second, "SELECT 1") == [(1,)]
            assert processes_of(other) == []


def test_a_deep_data_directory_works(data_dir: Path) -> None:
    deep = data_dir / ("d" * 100) / "with a space"
    data_dir.chmod(0o755)
    deep.parent.mkdir(mode=0o755)

    with databases(deep) as stack:
        assert run_sql(stack, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "name",
    [
        'a "quoted" \\ name',
        "it's 50% #1; $HOME `id` *",
        " नमस्ते-ñ🙂\t ",
        "-rf",
        os.fsdecode(b"latin-\xe9"),
        "{x} %s %20 ~ a=b,c:d",
    ],
)
def test_a_data_directory_with_odd_characters_works(data_dir: Path, name: str) -> None:
    data_dir.chmod(0o755)

    with databases(data_dir / name) as stack:
        assert run_sql(stack, "SELECT 1") == [(1,)]
        assert valkey(stack).ping()


@pytest.mark.parametrize("name", ["two\nlines", "two\rlines"])
def test_a_data_directory_of_two_lines_is_refused_since_postgresql_takes_none(data_dir: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"^TRADEACTORS_DATA_DIR must be a path on one line\.$"):
        databases(data_dir / name)


def test_the_stacks_of_two_users_of_a_machine_do_not_meet(data_dir: Path) -> None:
    with databases(data_dir) as first, temporary_data_dir() as other, databases(other) as second:
        run_sql(first, "CREATE TABLE mine (text TEXT)")
        valkey(first).set("note", "mine")
        assert run_sql(second, "SELECT to_regclass('mine')") == [(None,)]
        assert valkey(second).get("note") is None
        assert sockets_of(first.settings.database_url) != sockets_of(second.settings.database_url)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs a user that is not known")
def test_a_user_without_a_name_hears_what_postgresql_needs(data_dir: Path) -> None:
    line = ["unshare", "--user", "--map-user=54321", "--map-group=54321", sys.executable, "-c", STARTER, str(data_dir)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr.splitlines()[0]:
        pytest.skip("no user namespaces here")
    assert "the id 54321 has no entry in /etc/passwd; add one, run as another user, or set" in done.stderr


def test_a_guardian_ends_every_descendant_even_the_stubborn(tmp_path: Path) -> None:
    marker = f"9{free_ports(1)[0]}"
    script = f"""
trap '' TERM
setsid sh -c "trap '' TERM; while true; do sleep {marker}; done" &
setsid sleep {marker} &
echo started
while true; do sleep {marker}; done
"""
    part = GuardedProcess(Command("stubborn", ("sh", "-c", script), tmp_path / "stubborn.log", grace_s=0.2))
    eventually(lambda: len(processes_of(Path(f"sleep {marker}"))) >= 3)

    part.stop()

    assert processes_of(Path(f"sleep {marker}")) == []
    assert part.exit_code == 128 + signal.SIGKILL


def test_a_killed_guardian_takes_its_part_with_it(data_dir: Path) -> None:
    with databases(data_dir) as stack:
        process = stack._processes[Part.VALKEY]
        os.kill(process._guardian.pid, signal.SIGKILL)

        eventually(lambda: not any("valkey-server" in line for line in processes_of(data_dir / "valkey")))


def test_a_command_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    part = GuardedProcess(Command("nothing", ("/does/not/exist",), tmp_path / "nothing.log"))

    assert part.wait(10) == 127
    assert "cannot start /does/not/exist" in part.log_tail()
