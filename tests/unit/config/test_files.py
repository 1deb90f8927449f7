"""What is said of a file that the machine refuses: what it refuses, where, and what to do."""

import errno
import os
from pathlib import Path

import pytest
import typer
from psycopg.errors import SyntaxError, UndefinedTable  # noqa: A004 - PostgreSQL's
from sqlalchemy.exc import ProgrammingError

from config.commands.base.failures import plain_refusals, plain_schema
from config.files import UnreadableFile, mistakes_of_others, refusal_of, refuse_unreadable_files, remedy_of
from config.stack.guarded_process import StackError

FULL = os.strerror(errno.ENOSPC)


def refused(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("number", "do"),
    [
        (errno.ENOSPC, "make room there, or choose a place on another disk"),
        (errno.EACCES, "give this user the right to it, or be a user who has it"),
        (errno.EROFS, "choose a place on a disk that may be written"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.ELOOP, "correct the links, which lead in a circle"),
    ],
)
def test_a_refusal_says_what_to_do(number: int, do: str) -> None:
    assert refusal_of(refused(number, "/mnt/b.tar")) == f"{os.strerror(number)}; {do}"


def test_a_refusal_without_a_number_is_said_in_its_own_words() -> None:
    assert refusal_of(OSError("the tape is torn")) == "the tape is torn"


@pytest.mark.parametrize(
    ("said", "do"),
    [
        (f"selecting dynamic shared memory ... posix\nFATAL: pg_wal/1: {FULL}\naborted", "\nMake room there, "),
        (f"FATAL: could not resize shared memory segment: {FULL}", "\nGive shared memory more room: "),
        ("FATAL: the sky is falling", ""),
    ],
)
def test_a_program_that_found_no_room_is_followed_by_what_to_do(said: str, do: str) -> None:
    assert remedy_of(said).startswith(do)
    assert bool(remedy_of(said)) is bool(do)


@pytest.mark.parametrize(
    ("refused", "do"),
    [
        (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "raise the limit of processes and threads"),
        (RuntimeError("can't start new thread"), "raise the limit of processes and threads"),
        (MemoryError(), "end programs that take the memory"),
    ],
)
def test_a_machine_that_gives_no_more_threads_or_memory_is_no_traceback(
    refused: Exception, do: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit), plain_refusals():
        raise refused
    said = capsys.readouterr().err
    assert do in said
    assert said.count("\n") == 1
    with pytest.raises(RuntimeError, match="dictionary changed"), plain_refusals():
        raise RuntimeError("dictionary changed size during iteration")


def test_a_secret_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "TRADEACTORS_JWT_SECRET")
    with pytest.raises(UnreadableFile, match="is no file; put the value into a file of this name"):
        refuse_unreadable_files(tmp_path.iterdir())


def test_the_mark_of_an_editor_does_not_become_part_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "TRADEACTORS_JWT_SECRET").write_text("s" * 32, encoding="utf-8-sig")
    with pytest.raises(UnreadableFile, match="begins with a byte order mark; save it as UTF-8 without one"):
        refuse_unreadable_files(tmp_path.iterdir())


def test_a_database_of_another_version_is_no_traceback() -> None:
    gone = ProgrammingError("SELECT 1", {}, UndefinedTable("relation does not exist"))
    with pytest.raises(StackError, match="run `tradeactors migrate`"), plain_schema():
        raise gone
    other = ProgrammingError("SELEKT 1", {}, SyntaxError("at SELEKT"))
    with pytest.raises(ProgrammingError), plain_schema():
        raise other


@pytest.mark.parametrize(
    ("variables", "begins"),
    [
        ({"TRADEACTORS_DATA_DIR": '"/srv/ta"'}, "TRADEACTORS_DATA_DIR has quotes around its value, which would be"),
        ({"TRADEACTORS_SMTP_PASSWORD": "“hidden”"}, "TRADEACTORS_SMTP_PASSWORD has quotes around its value"),
        (
            {"TRADEACTORS_PORT": "tcp://10.3.4.5:8000"},
            "TRADEACTORS_PORT is what Kubernetes tells each pod about a service of this name, and no setting: set",
        ),
        (
            {"TRADEACTORS_API_PORT": "8000", "TRADEACTORS_API_SERVICE_PORT_HTTP": "8000"},
            "TRADEACTORS_API_SERVICE_PORT_HTTP is what Kubernetes tells",
        ),
    ],
)
def test_what_other_programs_make_of_our_variables_is_said(variables: dict[str, str | None], begins: str) -> None:
    (said,) = mistakes_of_others({**variables, "PATH": '"/bin"'})
    assert said.startswith(begins)
    assert "hidden" not in said


@pytest.mark.parametrize("value", ['"', "it's", "5' 6'", "", None, 'a "word" in it'])
def test_quotes_within_a_value_are_a_part_of_it(value: str | None) -> None:
    assert mistakes_of_others({"TRADEACTORS_SMTP_USER": value, "TRADEACTORS_API_PORT": "8000"}) == []
