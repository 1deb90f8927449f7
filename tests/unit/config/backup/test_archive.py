"""The file of a backup: written whole or not at all, and believed only as far as it is checked."""

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.backup.archive import (
    CALENDAR,
    DATABASE,
    FORMAT,
    SECRETS,
    Manifest,
    OpenBackup,
    describe,
    open_backup,
    write_archive,
)
from config.backup.errors import BackupRefused

AT = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
MANIFEST = Manifest(
    backed_up_at=AT, product_version="0.1.0", postgres_version=18, revision="0009", while_running=True,
    settings={"TRADEACTORS_BROKERS": "kite"}, calendar_name="sessions.toml",
)  # fmt: skip


def make(target: Path, *, replace_old: bool = False) -> Manifest:
    """A backup with a database and its secrets."""
    source = target.parent / "source"
    source.mkdir(exist_ok=True)
    files = {DATABASE: source / DATABASE, SECRETS: source / SECRETS}
    files[DATABASE].write_bytes(b"PGDMP" + bytes(100_000))
    files[SECRETS].write_text("{}")
    manifest = replace(MANIFEST, files={name: describe(path) for name, path in files.items()})
    write_archive(target, manifest, files, replace_old=replace_old)
    return manifest


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    make(tmp_path / "b.tar")
    return tmp_path / "b.tar"


def rewritten(backup: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None]) -> Path:
    """The backup with its members changed; None leaves one out."""
    target = backup.with_name("changed.tar")
    with tarfile.open(backup) as old, tarfile.open(target, "w") as new:
        for about in old:
            content = old.extractfile(about)
            assert content is not None
            changed = change(about, content.read())
            if changed is not None:
                member, data = changed
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
    return target


@contextmanager
def refused(saying: str) -> Iterator[None]:
    with pytest.raises(BackupRefused, match=saying):
        yield


def opened(path: Path) -> None:
    with open_backup(path) as backup:
        assert isinstance(backup, OpenBackup)


def with_manifest(backup: Path, **changes: object) -> Path:
    """The backup with another manifest, whose checksum is right."""
    with tarfile.open(backup) as tar:
        content = tar.extractfile("manifest.json")
        assert content is not None
        text = json.dumps(json.loads(content.read()) | changes).encode()

    def change(about: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if about.name == "manifest.json":
            return about, text
        return about, hashlib.sha256(text).hexdigest().encode() if about.name == "manifest.sha256" else data

    return rewritten(backup, change)


def test_what_was_written_is_read_again(backup: Path, tmp_path: Path) -> None:
    with open_backup(backup) as found:
        assert found.manifest == make(tmp_path / "again.tar")
        assert DATABASE in found
        assert CALENDAR not in found
        found.copy(DATABASE, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "source" / DATABASE).read_bytes()
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def test_a_backup_that_is_cut_off_after_it_was_checked_is_said(backup: Path, tmp_path: Path) -> None:
    with open_backup(backup) as found, refused("has changed since it was checked"):
        os.truncate(backup, 4096)
        found.copy(DATABASE, tmp_path / "out")


def test_only_its_owner_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make(tmp_path / "b.tar")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert {about.mode for about in tar} == {0o600}


def test_a_file_that_exists_is_not_replaced_unless_that_is_wanted(tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    target.write_text("something else")
    with refused("exists already"):
        make(target)
    assert target.read_text() == "something else"
    make(target, replace_old=True)
    opened(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "source"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    target.write_text("the backup of yesterday")
    with pytest.raises(OSError, match=r"database\.dump"):
        write_archive(target, MANIFEST, {DATABASE: tmp_path / "database.dump"}, replace_old=True)
    assert target.read_text() == "the backup of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]


@pytest.mark.parametrize("name", ["../secrets.json", "/etc/passwd", "postgres/../../x", "stack.lock", "secrets.json/"])
def test_a_member_with_a_name_of_its_own_is_refused(backup: Path, name: str) -> None:
    def rename(about: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        about.name = name if about.name == DATABASE else about.name
        return about, data

    with refused("nothing was restored"):
        opened(rewritten(backup, rename))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE],
)
def test_links_devices_and_directories_are_refused(kind: bytes, tmp_path: Path) -> None:
    target = tmp_path / "hostile.tar"
    with tarfile.open(target, "w") as tar:
        about = tarfile.TarInfo(SECRETS)
        about.type, about.linkname = kind, "/etc/shadow"
        tar.addfile(about)
    with refused("is no ordinary file"):
        opened(target)


def test_a_member_that_is_there_twice_is_refused(backup: Path) -> None:
    with tarfile.open(backup, "a") as tar:
        about = tarfile.TarInfo(SECRETS)
        about.size = 2
        tar.addfile(about, io.BytesIO(b"[]"))
    with refused("is there twice"):
        opened(backup)


@pytest.mark.parametrize("name", [DATABASE, SECRETS, "manifest.json"])
def test_a_changed_byte_is_noticed(backup: Path, name: str) -> None:
    def spoil(about: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        return about, data[:-1] + bytes([data[-1] ^ 1]) if about.name == name else data

    with refused("another checksum"):
        opened(rewritten(backup, spoil))


@pytest.mark.parametrize("missing", [DATABASE, SECRETS, "manifest.json", "manifest.sha256"])
def test_a_missing_member_is_noticed(backup: Path, missing: str) -> None:
    with refused("nothing was restored"):
        opened(rewritten(backup, lambda about, data: None if about.name == missing else (about, data)))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_file_that_was_cut_off_is_refused(backup: Path, share: float) -> None:
    os.truncate(backup, int(backup.stat().st_size * share))
    with refused("nothing was restored"):
        opened(backup)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}" * 5000])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(content)
    with refused("nothing was restored"):
        opened(tmp_path / "b.tar")


@pytest.mark.parametrize(("pack", "kind"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_a_backup_that_was_packed_on_the_way_is_to_be_unpacked(
    backup: Path, pack: Callable[[bytes], bytes], kind: str
) -> None:
    packed = backup.with_name("packed")
    packed.write_bytes(pack(backup.read_bytes()))
    with (
        pytest.raises(BackupRefused, match=f"is packed by {kind}, so nothing was restored; unpack it first"),
        open_backup(packed),
    ):
        pass


@pytest.mark.parametrize(
    ("begins", "what"),
    [
        (b"age-encryption.org/v1\n", "is encrypted by age, so nothing was restored; decrypt it first"),
        (b"-----BEGIN PGP MESSAGE-----\n", "is encrypted by OpenPGP, so nothing was restored; decrypt it first"),
        (b"\x8c\r\x04\t\x03\x08", "is encrypted by OpenPGP, so nothing was restored; decrypt it first"),
        (b"Salted__", "is encrypted by OpenSSL, so nothing was restored; decrypt it first"),
        (base64.b64encode(b"manifest.json" + bytes(9)), "is in base64, so nothing was restored; decode it first"),
    ],
)
def test_a_backup_that_its_owner_has_encrypted_is_to_be_decrypted(tmp_path: Path, begins: bytes, what: str) -> None:
    hidden = tmp_path / "b.tar.age"
    hidden.write_bytes(begins + bytes(2000))
    with pytest.raises(BackupRefused, match=what), open_backup(hidden):
        pass


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with refused("Cannot read .*: it is no file"):
        opened(tmp_path)
    with refused("Cannot read .*b.tar: there is no such file"):
        opened(tmp_path / "b.tar")


def test_a_later_format_is_refused_with_the_version_that_reads_it(backup: Path) -> None:
    with refused("made by version 7.1, which is newer"):
        opened(with_manifest(backup, format=FORMAT + 1, product_version="7.1"))


@pytest.mark.parametrize(
    "change", [{"backed_up_at": "2026-11-27T12:30:00"}, {"files": []}, {"settings": None}, {"format": "1"}], ids=str
)
def test_a_manifest_that_says_nonsense_is_refused(backup: Path, change: dict[str, object]) -> None:
    with refused("nothing was restored"):
        opened(with_manifest(backup, **change))


def test_the_name_of_the_calendar_file_leads_nowhere_else(backup: Path) -> None:
    with open_backup(with_manifest(backup, calendar_name="../../etc/cron.d/x")) as found:
        assert found.manifest.calendar_name == "x"


def test_a_backup_that_was_packed_by_tar_once_more_is_to_be_unpacked(backup: Path) -> None:
    with tarfile.open(backup.with_name("twice.tar"), "w") as tar:
        tar.add(backup, "b.tar")
    with refused("is a tar of other files, so nothing was restored; unpack it, if the backup is among them"):
        opened(backup.with_name("twice.tar"))
