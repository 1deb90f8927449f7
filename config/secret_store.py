"""The generated secrets of an embedded stack: one file, DATA_DIR/secrets.json, readable by its owner only."""

import base64
import binascii
import fcntl
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

SECRETS_FILE = "secrets.json"


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """What DATA_DIR/secrets.json holds. The first of `encryption_keys` (32 bytes, urlsafe base64) encrypts."""

    jwt_secret: str
    encryption_keys: tuple[str, ...]
    redis_password: str

    def __repr__(self) -> str:
        return "StoredSecrets(<hidden>)"


def read_secrets(data_dir: Path) -> StoredSecrets | None:
    """The secrets kept in a data directory, or None when it has none (or another user's that we may not read).

    Raises:
        ValueError: the file is damaged, or others may have written it: a known secret would make them any user.
    """
    path = data_dir / SECRETS_FILE
    try:
        refuse_what_others_may_write(data_dir)
        refuse_what_others_may_write(path)
        content = json.loads(path.read_text(encoding="utf-8"))
        return StoredSecrets(
            jwt_secret=content["jwt_secret"],
            encryption_keys=tuple(content["encryption_keys"]),
            redis_password=content["redis_password"],
        )
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (json.JSONDecodeError, KeyError, TypeError) as damaged:
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
        raise ValueError(f"{path} belongs to the user with the id {status.st_uid}; use one of your own")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(
            f"{path} may be written by others (mode {stat.S_IMODE(status.st_mode):04o}), so what it holds cannot be "
            f"trusted; if nobody has changed it: chmod go-w '{path}'"
        )


def create_secrets(data_dir: Path) -> StoredSecrets:
    """The secrets of a data directory, made (with the directory, mode 0700) when there are none yet.

    Two processes that race agree on the file of the first.

    Raises:
        ValueError: as `read_secrets`.
        OSError: the directory cannot be used.
    """
    existing = read_secrets(data_dir)
    if existing is not None:
        return existing
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = StoredSecrets(
        jwt_secret=secrets.token_urlsafe(48),
        encryption_keys=(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii"),),
        redis_password=secrets.token_urlsafe(32),
    )
    write_once(data_dir / SECRETS_FILE, json.dumps(asdict(fresh), indent=2) + "\n")
    return read_secrets(data_dir) or fresh


def change_keys(data_dir: Path, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> StoredSecrets:
    """Replace the encryption keys, at once and durably; the file keeps its owner and mode 0600.

    Raises:
        FileNotFoundError: there are no secrets to change.
        OSError: the file cannot be written; it is as it was.
        ValueError: the file is damaged, or no key would be left.
    """
    directory = os.open(data_dir, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        stored = read_secrets(data_dir)
        if stored is None:
            raise FileNotFoundError(f"{data_dir / SECRETS_FILE} cannot be read")
        changed = replace(stored, encryption_keys=change(stored.encryption_keys))
        if not changed.encryption_keys:
            raise ValueError("at least one encryption key must be left")
        _overwrite((data_dir / SECRETS_FILE).resolve(), json.dumps(asdict(changed), indent=2) + "\n")
        return changed
    finally:
        os.close(directory)


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
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make a rename durable: what is sealed with a new key must never outlive the key."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
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
    finally:
        Path(temporary).unlink()


def is_fernet_key(text: str) -> bool:
    """Whether a text is a key as ENCRYPTION_KEYS holds them: 32 bytes in urlsafe base64."""
    try:
        return len(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)) == 32
    except (binascii.Error, UnicodeEncodeError):
        return False
