"""The files that settings come from: `.env`, and the files of SECRETS_DIR."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values

ENCODING = "utf-8-sig"
"""Of `.env`: Windows' editors begin it with a mark, which would else be part of the first name."""


class UnreadableFile(Exception):
    """A file of settings cannot be read; the text is a sentence without its full stop and without the content."""


def lines_of(env_file: str | None) -> Mapping[str, str | None]:
    """The variables of `.env`, if there is one.

    Raises:
        UnreadableFile: it may not be read, or is no text.
    """
    if env_file is None:
        return {}
    if Path(env_file).is_dir():  # as containers make of a mount whose source is missing
        raise UnreadableFile(f"{Path(env_file)} is a directory, and no file of settings")
    try:
        return dotenv_values(env_file, encoding=ENCODING)
    except OSError as refused:
        raise UnreadableFile(f"{Path(env_file)} cannot be read: {refused.strerror}") from refused
    except UnicodeDecodeError as foreign:
        raise UnreadableFile(f"{Path(env_file)} is not UTF-8 text; save it as UTF-8") from foreign


def refuse_unreadable_files(paths: Iterable[Path]) -> None:
    """Look at files that each hold one setting.

    Raises:
        UnreadableFile: one is a directory, may not be read, or is no text.
    """
    for path in sorted(paths):
        try:
            path.read_text(encoding="utf-8")
        except OSError as refused:
            raise UnreadableFile(f"{path} cannot be read: {refused.strerror}") from refused
        except UnicodeDecodeError as foreign:
            raise UnreadableFile(f"{path} is not UTF-8 text; save it as UTF-8") from foreign
