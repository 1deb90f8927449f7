"""How addresses of channels are kept: encrypted for their user, and found again by a hash."""

import json
from hashlib import sha256

from api.notifications.sending.outcomes import Address
from persistence.database.models.notifications import NotificationChannel
from persistence.errors import UnreadableSecret
from persistence.secrets.encryption import CHANNEL_PURPOSE, SealedSecret, SecretBox


def seal(box: SecretBox, user_id: int, address: Address) -> SealedSecret:
    """An address as `notification_channels.address_box` has it."""
    content = json.dumps({"value": address.value} | address.keys).encode()
    return box.seal(content, user_id=user_id, purpose=CHANNEL_PURPOSE)


def unseal(box: SecretBox, channel: NotificationChannel) -> Address:
    """The address of a channel.

    Raises:
        UnreadableSecret: it was not sealed for this user with a key at hand.
    """
    sealed = SealedSecret(channel.address_box, channel.key_version)
    try:
        content = json.loads(box.open(sealed, user_id=channel.user_id, purpose=CHANNEL_PURPOSE))
        return Address(content.pop("value"), content)
    except (ValueError, KeyError, AttributeError) as error:
        raise UnreadableSecret("the secret does not hold an address") from error


def hash_of(value: str) -> bytes:
    """What the same address is found again by."""
    return sha256(b"tradeactors channel" + value.encode()).digest()
