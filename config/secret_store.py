"""The generated secrets of an embedded stack: one file, DATA_DIR/secrets.json, readable by its owner only."""

import base64
import binascii
import errno
import fcntl
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

SECRETS_FILE = "secrets.json"
UNFINISHED_RESTORE = "restore.unfinished"
"""A file that is in a data directory from the first to the last instant of a restore."""

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
"""What file systems answer that have none, such as those of Windows, of other machines (SMB, sshfs) and of phones."""

_ONE_WORD = re.compile(r"[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """What DATA_DIR/secrets.json holds. The first of `encryption_keys` (32 bytes, urlsafe base64) encrypts.

    `database`: the embedded database that the keys belong to, by its system identifier; empty before its first start.
    """

    jwt_secret: str
    encryption_keys: tuple[str, ...]
    redis_password: str
    database: str = ""

    def __repr__(self) -> str:
        return "StoredSecrets(<hidden>)"

    @classmethod
    def from_json(cls, text: str) -> "StoredSecrets":
        """What `as_file` has written. Raises ValueError, KeyError, TypeError, AttributeError or RecursionError."""
        content = json.loads(text)
        keys = content["encryption_keys"]
        texts = [content["jwt_secret"], content["redis_password"], content.get("database", ""), *keys]
        if not isinstance(keys, list) or not all(isinstance(text, str) for text in texts):
            raise TypeError("a secret is a text")
        if not keys or not all(map(is_fernet_key, keys)) or not _ONE_WORD.fullmatch(content["redis_password"]):
            raise TypeError("a secret is not as it was made")  # the password becomes a line of Valkey's configuration
        return cls(
            jwt_secret=content["jwt_secret"],
            encryption_keys=tuple(content["encryption_keys"]),
            redis_password=content["redis_password"],
            database=content.get("database", ""),
        )


def read_secrets(data_dir: Path) -> StoredSecrets | None:
    """The secrets kept in a data directory, or None when it has none (or another user's that we may not read).

    Raises:
        ValueError: the file is damaged, or others may have written it: a known secret would make them any user.
    """
    path = data_dir / SECRETS_FILE
    try:
        refuse_what_others_may_write(data_dir)
        refuse_what_others_may_write(path)
        return StoredSecrets.from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, RecursionError) as damaged:
        raise ValueError(
            f"{path} is damaged; restore it, since stored broker keys cannot be read without it"
        ) from damaged


def refuse_what_others_may_write(path: Path) -> None:
    """Let nothing be read from a directory or file whose content is another user's choice.

    Root may look after the directory of another user, as it can with everything of his.

    Raises:
        ValueError: it belongs to another user, or its mode lets others write.
        OSError: it is not there, or cannot be looked at.
    """
    status = path.stat()
    if status.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise ValueError(
            f"{path} belongs to the user with the id {status.st_uid}; use one of your own, or be that user"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(
            f"{path} may be written by others (mode {stat.S_IMODE(status.st_mode):04o}), so what it holds cannot be "
            f"trusted; if nobody has changed it: chmod go-w '{path}' (if that changes nothing, the file system keeps "
            "no modes, as those of Windows: use a directory on another one)"
        )


def create_secrets(data_dir: Path, *, keys_elsewhere: bool = False) -> StoredSecrets:
    """The secrets of a data directory, made (with the directory, mode 0700) when there are none yet.

    Two processes that race agree on the file of the first. `keys_elsewhere`: those that encrypt are not of this file.

    Raises:
        ValueError: as `read_secrets`; the file may not be read; it was lost, and a database is there that needs it.
        OSError: the directory cannot be used.
    """
    existing = read_secrets(data_dir)
    if existing is not None:
        return existing
    make_data_directory(data_dir)
    path = data_dir / SECRETS_FILE
    if path.exists():
        existing = read_secrets(data_dir)  # of a process that was quicker
        if existing is None:
            raise ValueError(f"{path} may not be read; give this user the right to it, or be the user who has it")
        return existing
    if not keys_elsewhere and _has_a_database(data_dir):
        raise ValueError(
            f"{path} is missing, without which the broker keys in the database of {data_dir} cannot be read; put it "
            "back, or restore a backup. If it is lost for good, set TRADEACTORS_ENCRYPTION_KEYS to a new key "
            "(docs/settings.md), and let users connect their brokers again"
        )
    fresh = StoredSecrets(
        jwt_secret=new_jwt_secret(),
        encryption_keys=(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii"),),
        redis_password=secrets.token_urlsafe(32),
    )
    write_once(path, as_file(fresh))
    return read_secrets(data_dir) or fresh


def _has_a_database(data_dir: Path) -> bool:
    """Whether one was made here, and not by a restore that was interrupted before it wrote the secrets."""
    return (data_dir / "postgres" / "global" / "pg_control").exists() and not (data_dir / UNFINISHED_RESTORE).exists()


def make_data_directory(data_dir: Path) -> None:
    """Make it (mode 0700) if it is not there.

    Raises:
        ValueError: something else is there.
        OSError: it cannot be made.
    """
    if data_dir.is_symlink() and not data_dir.exists():
        raise ValueError(
            f"{data_dir} is a link to {data_dir.readlink()}, which is not there: mount what it leads to, or name "
            "another directory"
        )
    if data_dir.exists() and not data_dir.is_dir():
        raise ValueError(f"{data_dir} is a file; name a directory")
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def new_jwt_secret() -> str:
    """A secret that no access token has been signed with yet."""
    return secrets.token_urlsafe(48)


def as_file(stored: StoredSecrets) -> str:
    """What secrets.json says of them."""
    return json.dumps(asdict(stored), indent=2) + "\n"


def write_secrets(data_dir: Path, stored: StoredSecrets) -> None:
    """Give a data directory without secrets those of a backup. Raises OSError."""
    write_once(data_dir / SECRETS_FILE, as_file(stored))


def remember_database(data_dir: Path, identifier: str) -> None:
    """Write down which database the keys belong to, unless there are no secrets here.

    Raises:
        OSError, ValueError: as `change_keys`.
    """
    with locked_secrets(data_dir):
        stored = read_secrets(data_dir)
        if stored is not None and stored.database != identifier:
            changed = replace(stored, database=identifier)
            _overwrite((data_dir / SECRETS_FILE).resolve(), as_file(changed))


@contextmanager
def locked_secrets(data_dir: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the secrets as they are while the block runs, against all who would change them.

    Raises:
        OSError: there is no such directory.
    """
    directory = os.open(data_dir, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def change_keys(data_dir: Path, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> StoredSecrets:
    """Replace the encryption keys, at once and durably; the file keeps its owner and mode 0600.

    Raises:
        FileNotFoundError: there are no secrets to change.
        OSError: the file cannot be written; it is as it was.
        ValueError: the file is damaged, or no key would be left.
    """
    with locked_secrets(data_dir):
        stored = read_secrets(data_dir)
        if stored is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(data_dir / SECRETS_FILE))
        changed = replace(stored, encryption_keys=change(stored.encryption_keys))
        if not changed.encryption_keys:
            raise ValueError("at least one encryption key must be left")
        _overwrite((data_dir / SECRETS_FILE).resolve(), as_file(changed))
        return changed


def _overwrite(path: Path, content: str) -> None:
    before = path.stat()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(stream.fileno(), before.st_uid, before.st_gid)  # else root takes the file from its user
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename durable: what is sealed with a new key must never outlive the key."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    except OSError as refused:  # folders shared with a virtual machine have no such thing
        if refused.errno != errno.EINVAL:
            raise
    finally:
        os.close(directory)


def write_once(path: Path, content: str) -> None:
    """Put a file with mode 0600 in place, whole, unless it already exists."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError as refused:
            if refused.errno not in _NO_HARD_LINKS:
                raise
            _rename_once(Path(temporary), path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _rename_once(temporary: Path, path: Path) -> None:
    """The same without hard links. All who do so are kept apart by the lock of the directory, as a rename replaces."""
    with locked_secrets(path.parent):
        if not path.exists():
            temporary.replace(path)


def is_fernet_key(text: str) -> bool:
    """Whether a text is a key as ENCRYPTION_KEYS holds them: 32 bytes in urlsafe base64."""
    try:
        return len(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)) == 32
    except (binascii.Error, UnicodeEncodeError):
        return False
