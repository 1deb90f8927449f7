"""Broker secrets at rest: bound to their owner, readable with every configured key, and tamper-evident."""

import base64
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from config.secret_store import change_keys
from config.settings import PREFIX, load_settings
from persistence.errors import UnreadableSecret
from persistence.secrets.encryption import (
    BROKER_PURPOSE,
    BrokerCredentials,
    SealedSecret,
    SecretBox,
    decode_key,
    generate_key,
    key_version,
    open_credentials,
    seal_credentials,
)

OLD, NEW = os.urandom(32), os.urandom(32)


def sealed(box: SecretBox) -> SealedSecret:
    return box.seal(b"the secret", user_id=7, purpose="test")


def test_what_was_sealed_opens() -> None:
    box = SecretBox([OLD])
    assert box.open(sealed(box), user_id=7, purpose="test") == b"the secret"


def test_the_same_secret_never_looks_the_same_twice() -> None:
    box = SecretBox([OLD])
    assert sealed(box).box != sealed(box).box


@pytest.mark.parametrize(("user_id", "purpose"), [(8, "test"), (7, "another")])
def test_a_secret_of_another_owner_or_purpose_does_not_open(user_id: int, purpose: str) -> None:
    box = SecretBox([OLD])
    with pytest.raises(UnreadableSecret):
        box.open(sealed(box), user_id=user_id, purpose=purpose)


@pytest.mark.parametrize("position", [0, 1, 13, -1])
def test_an_altered_secret_does_not_open(position: int) -> None:
    box = SecretBox([OLD])
    secret = sealed(box)
    damaged = bytearray(secret.box)
    damaged[position] ^= 1
    with pytest.raises(UnreadableSecret):
        box.open(replace(secret, box=bytes(damaged)), user_id=7, purpose="test")


def test_a_truncated_secret_does_not_open() -> None:
    box = SecretBox([OLD])
    with pytest.raises(UnreadableSecret):
        box.open(replace(sealed(box), box=b"\x01short"), user_id=7, purpose="test")


def test_keys_can_be_changed_without_losing_secrets() -> None:
    before, both, after = SecretBox([OLD]), SecretBox([NEW, OLD]), SecretBox([NEW])
    secret = sealed(before)
    assert both.open(secret, user_id=7, purpose="test") == b"the secret"
    rotated = both.reseal(secret, user_id=7, purpose="test")
    assert rotated.key_version == key_version(NEW)
    assert after.open(rotated, user_id=7, purpose="test") == b"the secret"
    with pytest.raises(UnreadableSecret, match=key_version(OLD)):
        after.open(secret, user_id=7, purpose="test")


def test_credentials_round_trip_and_show_nothing() -> None:
    box = SecretBox.from_texts([generate_key()])
    credentials = BrokerCredentials("the-key", "the-secret", "the-token")
    secret = seal_credentials(box, 7, credentials)
    assert open_credentials(box, 7, secret) == credentials
    assert box.open(secret, user_id=7, purpose=BROKER_PURPOSE)
    for text in (repr(credentials), str(credentials), repr(secret)):
        assert "the-" not in text


def test_a_proxy_is_sealed_with_the_credentials_and_shows_nowhere() -> None:
    box = SecretBox.from_texts([generate_key()])
    credentials = BrokerCredentials("the-key", "the-secret", "the-token", "http://asha:the-password@egress:3128")
    secret = seal_credentials(box, 7, credentials)
    assert open_credentials(box, 7, secret) == credentials
    assert open_credentials(box, 7, box.reseal(secret, user_id=7)) == credentials
    assert b"the-password" not in secret.box
    assert "the-" not in f"{credentials!r} {credentials} {secret!r}"


def test_a_row_without_a_proxy_is_what_it_was_before_there_were_any() -> None:
    box = SecretBox.from_texts([generate_key()])
    old = {"api_key": "the-key", "api_secret": "the-secret", "access_token": "the-token"}
    credentials = open_credentials(box, 7, box.seal(json.dumps(old).encode(), user_id=7, purpose=BROKER_PURPOSE))
    assert credentials == BrokerCredentials("the-key", "the-secret", "the-token", None)
    written = box.open(seal_credentials(box, 7, credentials), user_id=7, purpose=BROKER_PURPOSE)
    assert json.loads(written) == old


@pytest.mark.parametrize("text", ["", "short", "x" * 43, base64.b64encode(b"16 bytes of a key").decode()])
def test_unusable_keys_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(ValueError, match="32 bytes") as refusal:
        decode_key(text)
    assert not text or text not in str(refusal.value)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_both_alphabets_of_base64_are_read(encode: object) -> None:
    assert callable(encode)
    key = bytes(range(224, 256))
    assert decode_key(encode(key).decode()) == key


def test_a_box_needs_a_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        SecretBox([])


def test_a_secret_under_an_unknown_key_makes_the_keys_be_read_again_once() -> None:
    keys, reads = [OLD], []

    def reread() -> list[bytes]:
        reads.append(1)
        return keys

    box = SecretBox([OLD], reread)
    secret = SecretBox([NEW]).seal(b"the secret", user_id=7, purpose="test")
    with pytest.raises(UnreadableSecret, match=key_version(NEW)):
        box.open(secret, user_id=7, purpose="test")
    keys.insert(0, NEW)
    assert box.open(secret, user_id=7, purpose="test") == b"the secret"
    assert box.open(secret, user_id=7, purpose="test") == b"the secret"
    assert len(reads) == 2
    assert box.newest == key_version(NEW)
    assert box.versions == {key_version(NEW), key_version(OLD)}


def test_a_key_that_was_dropped_still_opens_what_is_in_flight_and_seals_no_more() -> None:
    box = SecretBox([OLD], lambda: [NEW])
    before = sealed(box)
    box.refresh()
    assert box.open(before, user_id=7, purpose="test") == b"the secret"
    assert sealed(box).key_version == key_version(NEW)


def test_settings_that_cannot_be_read_again_leave_the_keys_that_are_known() -> None:
    box = SecretBox([OLD], list)
    box.refresh()
    assert sealed(box).key_version == key_version(OLD)


@pytest.mark.parametrize("content", [b"[]", b"{}", b"no json", b'{"api_key": 1, "other": 2}', b"\xff"])
def test_what_holds_no_credentials_is_unreadable(content: bytes) -> None:
    box = SecretBox([OLD])
    secret = box.seal(content, user_id=7, purpose=BROKER_PURPOSE)
    with pytest.raises(UnreadableSecret):
        open_credentials(box, 7, secret)


def test_the_keys_of_the_settings_follow_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings = load_settings(secrets="create", data_dir=tmp_path)
    box = SecretBox.from_settings(settings)
    first, fresh = box.newest, generate_key()
    change_keys(tmp_path, lambda keys: (fresh, *keys))
    box.refresh()
    assert box.newest == key_version(decode_key(fresh))
    assert box.versions == {first, box.newest}
    (tmp_path / ".env").write_text(f"{PREFIX}NO_SUCH_SETTING=1\n")
    box.refresh()
    assert box.newest == key_version(decode_key(fresh))
