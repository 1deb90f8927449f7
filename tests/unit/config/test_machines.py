"""Machines that refuse something: each command says what, in a sentence, and never with a traceback."""

import base64
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from config.commands.cli import app
from config.commands.demo import plain_silence
from config.settings import PREFIX
from config.stack.guarded_process import StackError
from config.stack.paper import paper_token
from config.stack.postgres import PostgresPlan, initialise_postgres
from config.stack.stack import Part, Stack
from persistence.database.engine import migration_config
from tests.kit.stack import no_settings_in_environment, stack_settings, temporary_data_dir

ROOT = str(Path(__file__).parents[3])
WITHOUT_ROOM = """
import resource
import sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as on a full disk: a file can be made, and nothing written to it
from pathlib import Path
from config.commands.base.failures import plain_failures
from config.settings import load_settings
import typer
try:
    with plain_failures():
        load_settings(secrets="create", data_dir=Path(sys.argv[1]))
except typer.Exit as end:
    sys.exit(end.exit_code)
"""
WITHOUT_NAME = """
import os
import sys
from pathlib import Path
from config.stack.guarded_process import StackError
from config.stack.postgres import plan_postgres
os.setuid(54321)
try:
    plan = plan_postgres(Path(sys.argv[1]), Path(sys.argv[1]) / "logs")
    plan.sockets.rmdir()
    print("planned")
except StackError as refused:
    print(refused)
"""


def said(folder: Path, *arguments: str, **variables: str) -> str:
    """What a command of a folder writes before it ends with 1, without a traceback."""
    with no_settings_in_environment(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in variables.items():
            patch.setenv(PREFIX + name, value)
        result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    return result.stderr.strip()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"TRADEACTORS_LOG_FORMAT=caf\xe9\n", ".env is not UTF-8 text; save it as UTF-8."),
        (b"\xef\xbb\xbfTRADEACTORS_LOG_FROMAT=json\n", "TRADEACTORS_LOG_FROMAT is not a setting"),
        (None, ".env is a directory, and no file of settings; remove it, or put the file in its place."),
    ],
)
def test_a_file_of_settings_that_is_no_text_is_named(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / ".env"
    file.mkdir() if content is None else file.write_bytes(content)
    assert said(tmp_path, "doctor", "--data-dir", str(tmp_path / "data")).startswith(why)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"caf\xe9", "is not UTF-8 text; save it as UTF-8."),
        (None, "cannot be read: Is a directory; move the directory away, or name another file."),
    ],
)
def test_a_secret_that_is_no_text_is_named_and_not_shown(tmp_path: Path, content: bytes | None, why: str) -> None:
    secret = tmp_path / "secrets" / "TRADEACTORS_JWT_SECRET"
    secret.parent.mkdir()
    secret.mkdir() if content is None else secret.write_bytes(content)
    assert said(tmp_path, "doctor", SECRETS_DIR=str(secret.parent)) == f"{secret} {why}"


def test_settings_in_a_pipe_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    assert said(tmp_path, "doctor") == ".env is no file; put the settings into a file of this name."


def test_a_stack_that_is_too_slow_for_the_demo_is_said_in_a_sentence() -> None:
    asked = httpx.Request("POST", "http://127.0.0.1:8000/strategy/start")
    said = r"^127.0.0.1:8000 gave no answer to POST /strategy/start \(ReadTimeout\)"
    with pytest.raises(StackError, match=said), plain_silence():
        raise httpx.ReadTimeout("", request=asked)


def test_the_demo_touches_no_deployment_that_a_shell_names(tmp_path: Path) -> None:
    others = {"DATABASE_URL": "postgresql+psycopg://ta@db.example/ta", "REDIS_URL": "redis://cache.example:6379/0"}
    assert said(tmp_path, "demo", **others) == (
        "The demo trades on parts of its own, and TRADEACTORS_DATABASE_URL, TRADEACTORS_REDIS_URL names others: "
        "unset it here."
    )


def test_an_api_whose_port_is_taken_says_so_before_it_starts(tmp_path: Path) -> None:
    parts = {"DATABASE_URL": "postgresql+psycopg://ta@db.example/ta", "REDIS_URL": "redis://cache.example:6379/0"}
    keys = {"RAY_ADDRESS": "ray.example:6379", "ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(32)).decode()}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert said(tmp_path, "api", **parts, **keys, API_HOST="127.0.0.1", API_PORT=port) == (
            f"Port {port} of 127.0.0.1, meant for the API, is taken by another program; stop that program or set "
            "TRADEACTORS_API_PORT to another port."
        )


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    assert said(tmp_path, "up", "--data-dir", str(tmp_path / "data")).endswith("/data is a file; name a directory.")


def test_a_data_directory_behind_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/mnt/not-mounted/tradeactors")
    why = f"{tmp_path}/data is a link to /mnt/not-mounted/tradeactors, which is not there: mount"
    assert said(tmp_path, "up", "--data-dir", str(tmp_path / "data")).startswith(why)


def test_a_file_in_the_way_of_a_directory_stops_the_start_with_its_name(tmp_path: Path) -> None:
    settings = stack_settings(tmp_path)
    (tmp_path / "logs").write_text("mine")
    with pytest.raises(
        StackError,
        match=rf"^Cannot start on {tmp_path} .*: {tmp_path}/logs: File exists; move what is there away",
    ):
        Stack(settings, parts=(Part.VALKEY,), migrate=False).__enter__()


def test_a_disk_without_room_stops_the_start_in_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOM, str(tmp_path / "data")],
        env={"PYTHONPATH": ROOT, "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.strip().endswith(
        "cannot be used: File too large; raise the limit of a file's size (ulimit -f), or choose a place on another "
        "file system."
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that is not known")
def test_a_user_without_a_name_hears_it_before_anything_is_started() -> None:
    with temporary_data_dir() as data_dir:
        os.chown(data_dir, 54321, 54321)
        why = "PostgreSQL needs a user with a name, and the id 54321 has no entry in /etc/passwd"
        assert planned_without_name(data_dir).startswith(why)
        # A database that exists, as a volume brings it, needs none: only its first making looks the user up.
        (data_dir / "postgres").mkdir()
        (data_dir / "postgres" / "PG_VERSION").write_text("18\n")
        (data_dir / "postgres").chmod(0o755)
        assert planned_without_name(data_dir) == "planned"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\0" * 8])
def test_a_database_whose_version_is_not_to_be_read_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "PG_VERSION").write_bytes(content)
    plan = PostgresPlan(tmp_path, tmp_path, tmp_path, None, tmp_path)
    with pytest.raises(StackError, match=r"PG_VERSION is damaged, so its database may be\. Restore a backup"):
        initialise_postgres(plan)


def test_the_token_of_the_exchange_is_made_once_and_told_from_a_damaged_one(tmp_path: Path) -> None:
    assert paper_token(tmp_path) == paper_token(tmp_path)
    for content in (b"", b"\xff" * 40, b"\0" * 40, b"two words of a person"):
        (tmp_path / "paper_token").write_bytes(content)
        with pytest.raises(StackError, match="paper_token is damaged: remove it, and another one is made"):
            paper_token(tmp_path)


def planned_without_name(data_dir: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NAME, str(data_dir)],
        env={"PYTHONPATH": ROOT}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_migrations_are_found_wherever_the_product_is_installed() -> None:
    odd = Path("/srv/50% off #1/persistence/migrations")
    assert migration_config(odd).get_main_option("script_location") == str(odd)


IN_LOCALE_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def replayed(*options: str, into: int, **said: str) -> "subprocess.CompletedProcess[bytes]":
    recording = str(Path(ROOT) / "broker" / "paper" / "data" / "YESBANK-2019-07-09-1min.csv")
    day = ("--buy", "09:30", "--sell", "15:10", "--stop", "92.00", "--qty", "100")
    return subprocess.run(
        [sys.executable, "-m", "config.commands.cli", "replay", recording, *day, *options],
        env={"PYTHONPATH": ROOT, "PATH": os.environ["PATH"], **said},
        stdout=into, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "said", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "utf-8"}, IN_LOCALE_C]
)
def test_a_terminal_that_cannot_show_a_sign_gets_the_rest(said: dict[str, str]) -> None:
    done = replayed(into=subprocess.PIPE, **said)
    assert done.returncode == 0, done.stderr
    assert b"-395.00" in done.stdout


def test_an_output_that_finds_no_room_is_said_in_a_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        done = replayed(into=full.fileno(), PYTHONIOENCODING="utf-8")
    assert done.returncode == 1
    assert done.stderr == (
        b"What this command says cannot be written, so send its output elsewhere: No space left on device.\n"
    )
