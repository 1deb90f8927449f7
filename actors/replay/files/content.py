"""The bytes of a file become text: compression, encoding, and how much is read at most."""

import gzip
import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, TextIO, cast

from actors.replay.files.faults import NotARecording
from config.files import refusal_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_BYTES = 200_000_000
"""How much of a file is read at most, once it is unpacked: some three million bars."""

LONGEST_LINE = 65_536
"""How many characters a line may have."""

MOST_LINES = 5_000_000
"""How many lines a file may have: five years of a share's minutes, ten times over."""

_FETCH = "it is damaged or cut off; fetch it again"
_HEAD = 4096
_MARK_OF_TAR = slice(257, 262)
_ENCODINGS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_NO_TEXT = (
    (b"%PDF", "a PDF document"),
    (b"PAR1", "a Parquet file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an older Excel"),
    (b"\x1f\x8b", "packed twice"),
    (b"PK\x03\x04", "packed twice"),
    (b"PK\x05\x06", "a zip without any file"),
    (b"BZh", "packed by bzip2"),
    (b"\xfd7zXZ", "packed by xz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"7z\xbc\xaf", "packed by 7-Zip"),
    (b"Rar!", "packed by RAR"),
)
_KINDS = {
    stat.S_IFREG: "",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}
_BEGINS_AS_JSON = re.compile(r"""[\ufeff\s]*([\[{]\s*(["'\[{\]}0-9.-]|null|true|false|NaN|$))""")
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error, RuntimeError)


@dataclass(frozen=True, slots=True)
class Content:
    """The text of a file, with the line ends of Unix. `packing` and `encoding` are said to the user."""

    text: TextIO
    is_json: bool
    encoding: str
    packing: str


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    """The content of a file, while the block runs.

    Raises:
        NotARecording: it cannot be read, is no file or no text, or is too large. Also out of the block, which reads.
    """
    with ExitStack() as open_files:
        try:
            file = open_files.enter_context(_file(path))
            status = os.fstat(file.fileno())
            packing, stream = _unpacked(file, open_files)
            if not packing and stat.S_ISREG(status.st_mode) and status.st_size > MOST_BYTES:
                raise _too_large()
            counted = io.BufferedReader(_Counted(stream), _HEAD * 16)
            head = counted.peek(_HEAD)[:_HEAD]
            encoding = _encoding(head)
            text = open_files.enter_context(io.TextIOWrapper(counted, encoding=encoding, newline=None))
            yield Content(text, _looks_like_json(head, encoding), encoding, packing)
        except UnicodeDecodeError as error:
            label = _label(error.encoding)
            hint = "save it as UTF-8" if label == "UTF-8" else _FETCH
            raise NotARecording(f"it is no text in {label}; {hint}") from error
        except UnicodeError as error:
            raise NotARecording(f"it is no text in UTF-16 or UTF-32; {_FETCH}") from error
        except _UNREADABLE as error:
            raise NotARecording(f"it cannot be read: {_reason(error)}") from error


def _file(path: Path) -> BinaryIO:
    """A file, or what a shell hands over as one (`<(...)`): anything else might wait without end for its first byte."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_what_may_wait(descriptor)
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _refuse_what_may_wait(descriptor: int) -> None:
    kind = _KINDS.get(stat.S_IFMT(os.fstat(descriptor).st_mode), "something else")
    if kind and not _is_of_a_shell(descriptor):
        raise NotARecording(f"it is {kind}, and no file; write the bars into a file first")


def _is_of_a_shell(descriptor: int) -> bool:
    """Whether it is a pipe without a name, whose writer is there from its beginning."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith("pipe:[")


def lines(text: TextIO) -> Iterator[str]:
    """The lines, with their ends.

    Raises:
        NotARecording: a line is too long, or there are too many of them.
    """
    number = 0
    while line := text.readline(LONGEST_LINE + 1):
        number += 1
        if number > MOST_LINES:
            raise NotARecording(f"it has more than {MOST_LINES:,} lines; cut out the days that are needed")
        if len(line) > LONGEST_LINE:
            raise NotARecording(
                f"it is longer than {LONGEST_LINE:,} characters; cut it out, if it is no bar", f"line {number}"
            )
        yield line


class _Counted(io.RawIOBase):
    """A stream that ends in a refusal where it goes on for too long, as a packed file of zeros does."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        self._left -= len(data)
        if self._left < 0:
            raise _too_large()
        view[: len(data)] = data
        return len(data)


def _too_large() -> NotARecording:
    return NotARecording(f"it holds more than {MOST_BYTES // 1_000_000} MB; cut out the days that are needed")


def _unpacked(file: BinaryIO, open_files: ExitStack) -> tuple[str, IO[bytes]]:
    head = cast("io.BufferedReader", file).peek(4)
    if head.startswith(b"\x1f\x8b"):
        return "gzip", cast("IO[bytes]", open_files.enter_context(gzip.GzipFile(fileobj=file)))
    if head.startswith(b"PK\x03\x04"):
        return "zip", _only_member(open_files.enter_context(zipfile.ZipFile(file)), open_files)
    return "", file


def _only_member(archive: zipfile.ZipFile, open_files: ExitStack) -> IO[bytes]:
    members = [member for member in archive.infolist() if not (member.is_dir() or _is_of_a_mac(member.filename))]
    if any(member.filename == "[Content_Types].xml" for member in members):
        raise NotARecording("it is an Excel workbook; save the sheet as CSV")
    if any(member.filename in {"mimetype", "Index/Document.iwa"} for member in members):
        raise NotARecording("it is a document of LibreOffice or Numbers; save the sheet as CSV")
    if len(members) != 1:
        raise NotARecording(f"it is a zip of {len(members)} files; unpack the one that is meant")
    if members[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise NotARecording("it is a zip of a kind that is not read; unpack it")
    if members[0].flag_bits & 1:
        raise NotARecording("it is a zip with a password; unpack it")
    return open_files.enter_context(archive.open(members[0]))


def _is_of_a_mac(name: str) -> bool:
    """Whether it is what macOS puts beside the files that a user has packed."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] == ".DS_Store"


def _encoding(head: bytes) -> str:
    for mark, encoding in _ENCODINGS:
        if head.startswith(mark):
            return encoding
    for mark, kind in _NO_TEXT:
        if head.startswith(mark):
            do = "unpack it" if kind.startswith("packed") else "save its bars as CSV"
            raise NotARecording(f"it is {kind}, not text; {do}")
    if head[_MARK_OF_TAR] == b"ustar":
        raise NotARecording("it is packed by tar, not text; unpack it")
    if b"\x00" not in head:
        return "utf-8"
    # Text of plain letters in UTF-16 without a mark has a zero in every second byte.
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > len(head) // 4 and not even:
        return "utf-16-le"
    if even > len(head) // 4 and not odd:
        return "utf-16-be"
    raise NotARecording("it is no text, since it holds zero bytes; save its bars as CSV")


def _looks_like_json(head: bytes, encoding: str) -> bool:
    """Whether it begins as JSON does, and not with a title in brackets, such as `[INFY] 1 minute`."""
    return _BEGINS_AS_JSON.match(head.decode(encoding, errors="ignore")) is not None


def _label(encoding: str) -> str:
    return encoding.upper().removesuffix("-SIG")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return refusal_of(error)
    return _FETCH
