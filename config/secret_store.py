"""The generated secrets of an embedded stack: one file, DATA_DIR/secrets.json, readable by its owner only."""

import base64
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

SECRETS_FILE = "secrets.json"


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """What DATA_DIR/secrets.json holds. `encryption_keys` are Fernet keys, the first of which encrypts."""

    jwt_secret: str
    encryption_keys: tuple[str, ...]
    redis_password: str

    def __repr__(self) -> str:
        return "StoredSecrets(<hidden>)"


def read_secrets(data_dir: Path) -> StoredSecrets | None:
    """The secrets kept in a data directory, or None when it has none (or another user's that we may not read).

    Raises:
        ValueError: the file is damaged.
    """
    path = data_dir / SECRETS_FILE
    try:
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


def create_secrets(data_dir: Path) -> StoredSecrets:
    """The secrets of a data directory, made (with the directory, mode 0700) when there are none yet.

    Two processes that race agree on the file of the first.
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
