"""`tradeactors rotate-keys`: another key for the brokers' secrets, while the stack runs.

The new key is on disk before anything is sealed with it, and an old one leaves only when no row needs it and no process
can seal with it any more. Processes that meet a key they do not know read their settings again (`SecretBox.open`); a
process that stores credentials reads them before each time (`BrokerAccounts.keep_keys`).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from config.secret_store import change_keys
from config.settings import Settings
from persistence.database.engine import Sessions, open_database, sessions_of, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.errors import RotationRefused, UnreadableSecret
from persistence.notifications.channels import Channels
from persistence.secrets.encryption import (
    CHANNEL_PURPOSE,
    SealedSecret,
    SecretBox,
    decode_key,
    generate_key,
    key_version,
)

BATCH = 50
"""Rows of one transaction: a user who connects meanwhile waits no longer than that takes."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was done. Versions are fingerprints of keys; `unreadable` are the ids of users whose secrets do not open.

    `unneeded`: keys at hand that no row needs, and that were not dropped. `missing`: keys that rows need and that are
    not at hand.
    """

    newest: str
    resealed: int
    unreadable: tuple[int, ...]
    dropped: frozenset[str]
    unneeded: frozenset[str]
    missing: frozenset[str]


async def rotate_keys(settings: Settings, *, new_key: bool, drop_old: bool) -> Rotation:
    """Put every row under the newest key. Interrupted, it is simply called again.

    `new_key` makes that key first, and `drop_old` removes the others at the end; both change DATA_DIR/secrets.json and
    are not for keys that the operator keeps elsewhere.

    Raises:
        RotationRefused: another rotation is under way, or secrets.json cannot be changed.
        DatabaseUnavailable: PostgreSQL does not answer; what was done so far is good.
    """
    engine = open_database(settings.database_url, pool_size=3)
    try:
        sessions = sessions_of(engine)
        async with _only_one(sessions):
            return await _rotate(sessions, settings, _open_box(settings, new_key=new_key), drop_old=drop_old)
    finally:
        await engine.dispose()


def report(rotation: Rotation, *, set_by_operator: bool) -> list[str]:
    """Sentences for the operator; keys are named by their versions, never shown."""
    source = "the first of TRADEACTORS_ENCRYPTION_KEYS" if set_by_operator else "the first in secrets.json"
    lines = [f"Key {rotation.newest}, {source}, encrypts. Connections re-encrypted: {rotation.resealed}."]
    if rotation.unreadable:
        users = ", ".join(map(str, rotation.unreadable))
        lines.append(f"Connections that no key at hand opens: {len(rotation.unreadable)} (users {users}).")
    if rotation.missing:
        lines.append(f"Missing keys: {_named(rotation.missing)}. Without them their users must connect again.")
    if rotation.dropped:
        lines.append(f"Keys removed: {_named(rotation.dropped)}.")
    if rotation.unneeded and set_by_operator:
        lines.append(
            f"No connection needs {_named(rotation.unneeded)} any more: once every process runs with the new first "
            "key, take them out of TRADEACTORS_ENCRYPTION_KEYS."
        )
    elif rotation.unneeded:
        lines.append(f"No connection needs {_named(rotation.unneeded)} any more: `--drop-old` removes them.")
    return lines


def _named(versions: frozenset[str]) -> str:
    return ", ".join(sorted(versions))


def _open_box(settings: Settings, *, new_key: bool) -> SecretBox:
    if not new_key:
        box = SecretBox.from_settings(settings)
        box.refresh()
        return box
    fresh = generate_key()
    return SecretBox.from_texts(_change(settings, lambda keys: (fresh, *keys)))


async def _rotate(sessions: Sessions, settings: Settings, box: SecretBox, *, drop_old: bool) -> Rotation:
    async with transaction(sessions) as session:
        # A process that seals with an older key has committed when this lock is got, and is found below.
        await BrokerAccounts(session).lock_keys()
    resealed, unreadable = await _reseal_all(sessions, box)
    channels, unreadable_channels = await _reseal_channels(sessions, box)
    async with transaction(sessions) as session:
        accounts = BrokerAccounts(session)
        await accounts.lock_keys()
        needed = await accounts.key_versions() | await Channels(session).key_versions() | {box.newest}
        dropped = _drop(settings, box.versions - needed) if drop_old else frozenset[str]()
        rotation = Rotation(
            newest=box.newest,
            resealed=resealed + channels,
            unreadable=tuple(dict.fromkeys([*unreadable, *unreadable_channels])),
            dropped=dropped,
            unneeded=box.versions - needed - dropped,
            missing=needed - box.versions,
        )
        await _record(AuditLog(session), rotation)
    return rotation


async def _reseal_all(sessions: Sessions, box: SecretBox) -> tuple[int, list[int]]:
    resealed, unreadable, last_id = 0, list[int](), 0
    while True:
        async with transaction(sessions) as session:
            accounts = BrokerAccounts(session)
            batch = await accounts.sealed_with_another(box.newest, last_id, BATCH)
            for account in batch:
                last_id = account.id
                try:
                    resealed += await _reseal(accounts, box, account)
                except UnreadableSecret:
                    unreadable.append(account.user_id)
        if not batch:
            return resealed, unreadable


async def _reseal_channels(sessions: Sessions, box: SecretBox) -> tuple[int, list[int]]:
    resealed, unreadable, last_id = 0, list[int](), 0
    while True:
        async with transaction(sessions) as session:
            channels = Channels(session)
            batch = await channels.sealed_with_another(box.newest, last_id, BATCH)
            for channel in batch:
                last_id, before = channel.id, SealedSecret(channel.address_box, channel.key_version)
                try:
                    after = box.reseal(before, user_id=channel.user_id, purpose=CHANNEL_PURPOSE)
                except UnreadableSecret:
                    unreadable.append(channel.user_id)
                else:
                    await channels.reseal(channel, after.box, after.key_version)
                    resealed += 1
        if not batch:
            return resealed, unreadable


async def _reseal(accounts: BrokerAccounts, box: SecretBox, account: BrokerAccount) -> bool:
    before = SealedSecret(account.secrets_box, account.key_version)
    after = box.reseal(before, user_id=account.user_id)
    return await accounts.reseal(account, after.box, after.key_version)


def _drop(settings: Settings, versions: frozenset[str]) -> frozenset[str]:
    if not versions:
        return versions

    def without(keys: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(key for key in keys if key_version(decode_key(key)) not in versions)

    _change(settings, without)
    return versions


def _change(settings: Settings, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        return change_keys(settings.data_dir, change).encryption_keys
    except (OSError, ValueError) as error:
        raise RotationRefused(f"The keys in {settings.data_dir} cannot be changed: {error}") from error


async def _record(audit: AuditLog, rotation: Rotation) -> None:
    await audit.add(
        "keys_rotated",
        user_id=None,
        subject=rotation.newest,
        resealed=str(rotation.resealed),
        unreadable=str(len(rotation.unreadable)),
        dropped=",".join(sorted(rotation.dropped)),
    )


@asynccontextmanager
async def _only_one(sessions: Sessions) -> AsyncIterator[None]:
    """Two at once could drop each other's new key."""
    async with transaction(sessions) as session:
        if not await BrokerAccounts(session).begin_rotation():
            raise RotationRefused("Another rotation of keys is under way.")
        yield
