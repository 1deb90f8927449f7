"""The operator's file of days on which the calendar is wrong, read again whenever it changes."""

import stat
from pathlib import Path

import structlog

from broker.market.overrides import InvalidOverrides, Overrides, parse_overrides
from config.files import refusal_of

_MOST_BYTES = 1_000_000
_DOCUMENTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")
"""How the documents begin as which an exchange's holidays are sent: of Excel, of LibreOffice, PDF."""

log = structlog.stdlib.get_logger(__name__)


class OverrideFile:
    """The operator's file, read again whenever it changes."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            InvalidOverrides: if it cannot be read, or is wrong.
        """
        self._path = path
        self._seen = _signature(path)
        self._days = _read(path)

    @property
    def days(self) -> Overrides:
        """What the file says. While it is broken or gone: what it said before, with an error in the log."""
        seen = _signature(self._path)
        if seen != self._seen:
            self._seen = seen
            try:
                self._days = _read(self._path)
                log.info("calendar_overrides_read", path=str(self._path), days=len(self._days))
            except InvalidOverrides as error:
                log.error("calendar_overrides_broken", path=str(self._path), reason=str(error))  # noqa: TRY400
        return self._days


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino  # an editor may replace the file within one tick of mtime


def _read(path: Path) -> Overrides:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InvalidOverrides("it is a directory; name the file in it")
        if not stat.S_ISREG(status.st_mode):  # a pipe can be read once only, a device without end
            raise InvalidOverrides("it is no file that can be read again; name a file")
        if status.st_size > _MOST_BYTES:
            raise InvalidOverrides(f"it is larger than {_MOST_BYTES // 1_000_000} MB, so it is no list of days")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidOverrides(f"it cannot be read: {refusal_of(error)}") from error
    try:
        text = content.decode("utf-8-sig")  # Windows' editors begin a file with the mark
    except UnicodeDecodeError as error:
        if content.startswith(_DOCUMENTS):
            raise InvalidOverrides(
                "it is a workbook or another document; write the days into a text file, a line each, such as "
                '2026-11-24 = "closed"'
            ) from error
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidOverrides(f"line {line}: it is not UTF-8 text; save it as UTF-8") from error
    return parse_overrides(text.replace("\r\n", "\n").replace("\r", "\n"))
