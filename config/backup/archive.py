"""The file of a backup: a tar, whose first member says what the others are, with their checksums.

Nothing in it is believed before it is checked: members are copied by name, never unpacked, and a name, a kind or a
content that the manifest does not announce refuses the whole file.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from config.backup.errors import BackupRefused
from config.files import refusal_of
from config.secret_store import sync_directory

TEMPORARY = ".tradeactors-backup-"
"""How the names begin of what a backup puts beside its file while it is made."""

FORMAT = 1
"""The format of the files that this version writes, and the newest that it reads."""

DATABASE, SECRETS, PAPER_LEDGER, CALENDAR = "database.dump", "secrets.json", "paper-ledger.jsonl", "calendar-overrides"
_MEMBERS = frozenset({DATABASE, SECRETS, PAPER_LEDGER, CALENDAR})
_MANIFEST, _MANIFEST_SUM = "manifest.json", "manifest.sha256"
_MANIFEST_LIMIT = 1 << 20
_CHUNK = 1 << 20
_WHAT_IT_IS = "Name a file that `tradeactors backup` has written."
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
}
_HIDDEN = {
    b"age-encryption.org/": "is encrypted by age",
    b"-----BEGIN AGE ENCRYPTED": "is encrypted by age",
    b"-----BEGIN PGP MESSAGE": "is encrypted by OpenPGP",
    b"\x84": "is encrypted by OpenPGP",
    b"\x85": "is encrypted by OpenPGP",
    b"\x8c": "is encrypted by OpenPGP",
    b"\xc1": "is encrypted by OpenPGP",
    b"\xc3": "is encrypted by OpenPGP",
    b"Salted__": "is encrypted by OpenSSL",
    b"U2FsdGVkX1": "is encrypted by OpenSSL, in base64",
    b"bWFuaWZlc3QuanNvb": "is in base64",
    b"begin-base64 ": "is in base64",
}
"""How the files begin into which owners put a backup that they keep secret, or send by mail (RFC 9580 §5)."""
_DAMAGES = (
    tarfile.TarError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip
"""What reading of a file ends in whose bytes are anything."""

_LONGEST_MARK = max(map(len, [*_PACKED, *_HIDDEN]))


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a backup: its size in bytes, and the SHA-256 of its content."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup is. `backed_up_at`: everything up to then is in it. `revision`: of the database's schema.

    `while_running`: a stack was running. `settings`: those of its settings that are no secrets and of no one machine.
    `calendar_name`: what the file of CALENDAR_OVERRIDES was called, if there was one. `foreign_keys` and
    `foreign_channels`: broker connections and channels of notices that no key of the backup opens, since their keys
    are the operator's.
    """

    backed_up_at: datetime
    product_version: str
    postgres_version: int
    revision: str
    while_running: bool
    foreign_keys: int = 0
    foreign_channels: int = 0
    calendar_name: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Member] = field(default_factory=dict)

    def to_json(self) -> str:
        """As the file has it."""
        values = asdict(self) | {"format": FORMAT, "backed_up_at": self.backed_up_at.isoformat()}
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Read it.

        Raises:
            ValueError, KeyError, TypeError: it is not one.
            BackupRefused: a later version of the product has written it.
        """
        values: dict[str, Any] = json.loads(text)
        if values["format"] > FORMAT:
            raise BackupRefused(
                f"The backup has format {values['format']} and was made by version {values['product_version']}, which "
                f"is newer than this one; restore it with that version."
            )
        at = datetime.fromisoformat(values["backed_up_at"])
        if at.tzinfo is None:
            raise ValueError("an instant without a time zone")
        return cls(
            backed_up_at=at,
            product_version=str(values["product_version"]),
            postgres_version=int(values["postgres_version"]),
            revision=str(values["revision"]),
            while_running=bool(values["while_running"]),
            foreign_keys=int(values["foreign_keys"]),
            foreign_channels=int(values.get("foreign_channels", 0)),  # earlier versions did not count them
            calendar_name=Path(str(values["calendar_name"])).name,
            settings={str(name): str(value) for name, value in values["settings"].items()},
            files={name: Member(int(about["size"]), str(about["sha256"])) for name, about in values["files"].items()},
        )


def describe(path: Path) -> Member:
    """Size and checksum of a file that goes into a backup."""
    with path.open("rb") as stream:
        return Member(path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())


def write_archive(
    target: Path, manifest: Manifest, files: Mapping[str, Path], *, replace_old: bool, workshop: Path | None = None
) -> None:
    """Write the backup under a temporary name beside `target`, mode 0600, and put it in place whole and durably.

    `workshop`: a directory of the same file system, in which the temporary file is made instead.

    Raises:
        BackupRefused: the file exists and `replace_old` is not set.
        OSError: it cannot be written; there is nothing new then.
    """
    handle, name = tempfile.mkstemp(dir=workshop or target.parent, prefix=TEMPORARY)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
                text = manifest.to_json().encode()
                _add(tar, _MANIFEST, io.BytesIO(text), len(text), manifest.backed_up_at)
                summed = hashlib.sha256(text).hexdigest().encode()
                _add(tar, _MANIFEST_SUM, io.BytesIO(summed), len(summed), manifest.backed_up_at)
                for member, path in files.items():
                    with path.open("rb") as content:
                        _add(tar, member, content, manifest.files[member].size, manifest.backed_up_at)
            stream.flush()
            os.fsync(stream.fileno())
        _put_in_place(temporary, target, replace_old=replace_old)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(target.parent)


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int, at: datetime) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mode, about.mtime = size, 0o600, int(at.timestamp())
    tar.addfile(about, content)


def _put_in_place(temporary: Path, target: Path, *, replace_old: bool) -> None:
    if replace_old:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)  # unlike a rename, it never takes the place of a file that has just come
    except FileExistsError:
        raise BackupRefused(f"{target} exists already; choose another name, or --force to replace it.") from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise BackupRefused(f"{target} exists already; choose another name, or --force to replace it.") from None
        temporary.replace(target)


def begins_as_backup(path: Path) -> bool:
    """Whether this is a file that begins as those of `write_archive` do, whole or not. Raises OSError."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(_MANIFEST) + 1) == _MANIFEST.encode() + b"\0"


class OpenBackup:
    """A backup that has been checked as a whole; its members can be copied out of it."""

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest, members: Mapping[str, tarfile.TarInfo]) -> None:
        self.manifest = manifest
        self._tar, self._members = tar, members

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def copy(self, name: str, target: Path) -> None:
        """Write a member into a new file of mode 0600, durably. Raises OSError, and BackupRefused if it has changed."""
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            try:
                shutil.copyfileobj(_content(self._tar, self._members[name]), out, _CHUNK)
            except tarfile.TarError as cut:
                raise BackupRefused(
                    f"The backup has changed since it was checked ({cut}), so nothing was restored; try again when it "
                    "is whole."
                ) from cut
            out.flush()
            os.fsync(out.fileno())

    def read(self, name: str) -> bytes:
        """A small member."""
        return _content(self._tar, self._members[name]).read()


@contextmanager
def open_backup(path: Path) -> Iterator[OpenBackup]:
    """Check every byte of a backup, then hand it over.

    Raises:
        BackupRefused: it cannot be read, is damaged or incomplete, holds what no backup holds, or is of a later format.
    """
    try:
        if not path.is_file():
            raise BackupRefused(
                f"Cannot read {path}: {'it is no file' if path.exists() else 'there is no such file'}. {_WHAT_IT_IS}"
            )
        stream = path.open("rb")
    except OSError as refused:
        raise BackupRefused(f"Cannot read {path}: {refusal_of(refused)}.") from refused
    with stream:
        _refuse_packed(path, stream)
        with _tar(path, stream) as tar:
            yield _opened(path, tar)


def _opened(path: Path, tar: tarfile.TarFile) -> OpenBackup:
    try:
        if (first := tar.next()) is not None and first.name.rpartition("/")[2] not in _MEMBERS | {_MANIFEST}:
            raise BackupRefused(
                f"{path} is a tar of other files, so nothing was restored; unpack it, if the backup is among them."
            )
        return OpenBackup(tar, *_checked(tar))
    except _DAMAGES as damaged:
        raise BackupRefused(
            f"{path} is damaged or is not a backup of TradeActors ({damaged}); nothing was restored. Fetch it again, "
            "or take an earlier one."
        ) from damaged


def _refuse_packed(path: Path, stream: IO[bytes]) -> None:
    head = stream.read(_LONGEST_MARK)
    stream.seek(0)
    for mark, kind in _PACKED.items():
        if head.startswith(mark):
            raise BackupRefused(f"{path} is packed by {kind}, so nothing was restored; unpack it first.")
    for mark, state in _HIDDEN.items():
        if head.startswith(mark):
            do = "decrypt" if "encrypted" in state else "decode"
            raise BackupRefused(f"{path} {state}, so nothing was restored; {do} it first, into a file of its own.")


def _tar(path: Path, stream: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r:")
    except _DAMAGES as foreign:
        raise BackupRefused(f"{path} is not a backup of TradeActors; nothing was restored. {_WHAT_IT_IS}") from foreign


def _checked(tar: tarfile.TarFile) -> tuple[Manifest, Mapping[str, tarfile.TarInfo]]:
    members: dict[str, tarfile.TarInfo] = {}
    for about in tar:
        if about.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or about.issparse():
            raise ValueError(f"{about.name!r} is no ordinary file")
        if about.name not in _MEMBERS | {_MANIFEST, _MANIFEST_SUM} or about.name in members:
            raise ValueError(f"{about.name!r} is no file of a backup, or is there twice")
        members[about.name] = about
    if not {_MANIFEST, _MANIFEST_SUM} <= members.keys() or members[_MANIFEST].size > _MANIFEST_LIMIT:
        raise ValueError("there is no manifest")
    text = _content(tar, members.pop(_MANIFEST)).read()
    if hashlib.sha256(text).hexdigest().encode() != _content(tar, members.pop(_MANIFEST_SUM)).read(64):
        raise ValueError("the manifest has another checksum")
    manifest = Manifest.from_json(text)
    if members.keys() != manifest.files.keys() or not {DATABASE, SECRETS} <= members.keys():
        raise ValueError("its files are not those of its manifest")
    for name, about in members.items():
        summed = hashlib.file_digest(_content(tar, about), "sha256").hexdigest()  # type: ignore[arg-type] # any stream
        if Member(about.size, summed) != manifest.files[name]:
            raise ValueError(f"{name} has another checksum")
    return manifest, members


def _content(tar: tarfile.TarFile, about: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(about)
    if content is None:
        raise ValueError(f"{about.name!r} has no content")
    return content
