"""Messages to browsers (RFC 8291, appendix A) and our signature (RFC 8292)."""

from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from api.notifications.sending.outcomes import Message
from api.notifications.sending.push_encryption import MOST_BYTES, BadKeys, Vapid, check_keys, decode, encode, encrypt
from api.notifications.sending.web_push import payload

P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
OURS = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6"
    "cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_rfcs_own_message_comes_out() -> None:
    private = ec.derive_private_key(int.from_bytes(decode(OURS)), ec.SECP256R1())
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        P256DH,
        AUTH,
        private=private,
        salt=decode("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert encode(body) == BODY


def test_no_two_messages_are_alike_and_the_longest_fits_into_a_record() -> None:
    first, second = (encrypt(b"x" * MOST_BYTES, P256DH, AUTH) for _ in range(2))
    assert first != second
    assert len(first) <= 4096
    with pytest.raises(ValueError, match="too long"):
        encrypt(b"x" * (MOST_BYTES + 1), P256DH, AUTH)


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [("", AUTH), (P256DH, ""), (P256DH[:-4], AUTH), (P256DH, AUTH + "AAAA"), ("!" * 87, AUTH),
     (encode(b"\x04" + b"\1" * 64), AUTH),
     (encode(b"\0" * 65), AUTH), ("ü", AUTH)],
)  # fmt: skip
def test_what_is_no_key_is_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(BadKeys):
        check_keys(p256dh, auth)


def test_the_signature_is_for_one_push_service_and_ends() -> None:
    now = datetime.now(UTC)
    vapid = Vapid(OURS, "https://api.example.com")
    scheme, _, rest = vapid.authorization("https://push.example.com", now).partition(" ")
    token, key = (part.strip().partition("=")[2] for part in rest.split(","))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(key))
    claims = jwt.decode(token, public, algorithms=["ES256"], audience="https://push.example.com")
    assert (scheme, key, claims["sub"]) == ("vapid", vapid.public_key, "https://api.example.com")
    assert 0 < claims["exp"] - now.timestamp() < 24 * 3600


@pytest.mark.parametrize("text", ["x" * 10_000, "₹" * 10_000, "𝒳" * 5000, "\ud800" * 9])
def test_a_payload_of_any_text_fits(text: str) -> None:
    assert len(payload(Message("n", text))) <= MOST_BYTES
