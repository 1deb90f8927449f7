"""The files that settings come from: `.env`, and the files of SECRETS_DIR. And what to do where a file is refused."""

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from dotenv.variables import Variable, parse_variables

ENCODING = "utf-8-sig"
"""Of `.env`: Windows' editors begin it with a mark, which would else be part of the first name."""

_OURS = "TRADEACTORS_"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARK = "\ufeff"
_QUOTED = re.compile(r"""(["'`]).*\1|[“”„«»].*[“”«»]|[‘’‚].*[‘’]""", re.DOTALL)
_OF_A_SERVICE = re.compile(
    r"TRADEACTORS(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
_ADDRESS_OF_A_SERVICE = ("tcp://", "udp://", "sctp://")

_MEMORY = "Give shared memory more room: the file system at /dev/shm, or the container (--shm-size=256m)"
_ROOM = "make room there, or choose a place on another disk"
_TO_DO = {
    errno.EACCES: "give this user the right to it, or be a user who has it",
    errno.EPERM: "give this user the right to it, or be a user who has it",
    errno.ENOENT: "correct the path, or make what is missing",
    errno.ENOTDIR: "correct the path, of which a part is a file",
    errno.EISDIR: "move the directory away, or name another file",
    errno.EEXIST: "move what is there away, or choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "correct the links, which lead in a circle",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: "choose a place on a disk that may be written",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or choose a place on another file system",
    errno.EIO: "look at the disk, which fails",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "end programs that have too many files open",
    errno.ENOMEM: "end programs that take the memory, or raise the limit of it (ulimit -v, that of the container)",
    errno.EAGAIN: "raise the limit of processes and threads (ulimit -u, pids of the container), or end some",
    errno.EBUSY: "stop what uses it, or choose another place",
    errno.EXDEV: "choose a place on the same disk",
    errno.ETXTBSY: "stop the program that runs from it",
}


def refusal_of(error: OSError) -> str:
    """What the machine has refused and what to do about it, as the end of a sentence, without its full stop."""
    said = error.strerror or str(error)
    do = _TO_DO.get(error.errno or 0)
    return f"{said}; {do}" if do else said


def remedy_of(said: str) -> str:
    """What to do where a program has said that there is no room, on a line of its own; else nothing.

    PostgreSQL says of shared memory what it says of a disk; containers have little of it.
    """
    full = [line for line in said.splitlines() if os.strerror(errno.ENOSPC) in line]
    if not full:
        return ""
    return f"\n{_MEMORY if 'shared memory' in full[-1] else _ROOM[0].upper() + _ROOM[1:]}."


class UnreadableFile(Exception):
    """A file of settings cannot be read; the text is a sentence without its full stop and without the content."""


def lines_of(env_file: str | None) -> Mapping[str, str | None]:
    """The variables of `.env`, if there is one.

    Raises:
        UnreadableFile: it may not be read, is no text, or has a line of ours that is no setting.
    """
    if env_file is None:
        return {}
    if Path(env_file).is_dir():  # as containers make of a mount whose source is missing
        raise UnreadableFile(
            f"{Path(env_file)} is a directory, and no file of settings; remove it, or put the file in its place"
        )
    try:
        if Path(env_file).exists() and not Path(env_file).is_file():  # a pipe would be waited for
            raise UnreadableFile(f"{Path(env_file)} is no file; put the settings into a file of this name")
        if Path(env_file).is_file():
            _refuse_lines_that_would_be_left_out(Path(env_file), Path(env_file).read_text(encoding=ENCODING))
        return dotenv_values(env_file, encoding=ENCODING)
    except OSError as refused:
        raise UnreadableFile(f"{Path(env_file)} cannot be read: {refusal_of(refused)}") from refused
    except UnicodeDecodeError as foreign:
        raise UnreadableFile(f"{Path(env_file)} is not UTF-8 text; save it as UTF-8") from foreign


def _refuse_lines_that_would_be_left_out(env_file: Path, text: str) -> None:
    """The reader of `.env` passes over what it does not understand, and the usual value would hold in its place.

    It puts nothing in the place of a variable that is not set: a path would be another one, a password half of it.
    """
    known = set(os.environ)
    for binding in parse_stream(StringIO(text)):
        written, key, value = binding.original.string, binding.key or "", binding.value
        place = (
            f"{env_file}, line {binding.original.line + written[: len(written) - len(written.lstrip())].count(chr(10))}"
        )
        swallowed = value is not None and "\n" in value and _OURS in value.upper()
        unnamed = binding.error or (key and (value is None or not _NAME.fullmatch(key)))
        if swallowed or (unnamed and _OURS in written.upper()):
            raise UnreadableFile(f"{place} is no setting; write NAME=value, and close each quote")
        if _has_what_is_not_set(value or "", known):
            if key.upper().startswith(_OURS) and key not in os.environ:
                raise UnreadableFile(
                    f"{place} holds ${{…}} of a variable that is not set before it; set that one, or write the value "
                    "itself: one that has ${ in it belongs into the environment, or into a file of SECRETS_DIR"
                )
        elif key:
            known.add(key)


def _has_what_is_not_set(value: str, known: set[str]) -> bool:
    parts = [part for part in parse_variables(value) if isinstance(part, Variable)]
    return any(part.default is None and part.name not in known for part in parts)


def mistakes_of_others(variables: Mapping[str, str | None]) -> list[str]:
    """What no person has meant as the value of a setting, a sentence for each, which holds no value.

    Docker (`--env-file`) keeps the quotes around a value, and word processors write others than `.env` knows.
    Kubernetes gives each pod variables that are named after the services beside it.
    """
    ours = {name: value for name, value in variables.items() if value and name.upper().startswith(_OURS)}
    links = sorted(
        name
        for name, value in ours.items()
        if _OF_A_SERVICE.fullmatch(name) or (name.endswith("_PORT") and value.startswith(_ADDRESS_OF_A_SERVICE))
    )
    said = [
        f"{name} has quotes around its value, which would be a part of it: leave them out."
        for name, value in ours.items()
        if len(value) > 1 and _QUOTED.fullmatch(value.strip())
    ]
    if links:
        also = f", and {len(links) - 1} more such variables" if len(links) > 1 else ""
        said.append(
            f"{links[0]} is what Kubernetes tells each pod about a service of this name, and no setting{also}: set "
            "enableServiceLinks: false in the pod's specification, or call the service otherwise."
        )
    return said


def refuse_unreadable_files(paths: Iterable[Path]) -> None:
    """Look at files that each hold one setting.

    Raises:
        UnreadableFile: one is a directory, may not be read, or is no text.
    """
    for path in sorted(paths):
        try:
            if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # a pipe would be waited for
                raise UnreadableFile(f"{path} is no file; put the value into a file of this name")
            if path.read_text(encoding="utf-8").startswith(_MARK):  # which would be the first letter of the secret
                raise UnreadableFile(f"{path} begins with a byte order mark; save it as UTF-8 without one")
        except OSError as refused:
            raise UnreadableFile(f"{path} cannot be read: {refusal_of(refused)}") from refused
        except UnicodeDecodeError as foreign:
            raise UnreadableFile(f"{path} is not UTF-8 text; save it as UTF-8") from foreign
