"""Threat: a user names an address that leads into our own network, or that adds headers to a mail (row N1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.notifications.channels import email_hint
from api.notifications.sending.mail import compose, one_line
from api.notifications.sending.outcomes import Message, Refused
from api.notifications.sending.public_hosts import NotPublic, is_public, public_addresses
from api.notifications.sending.web_push import check_endpoint


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1",
        "192.0.2.1", "localhost", "",
    ],
)  # fmt: skip
def test_addresses_of_our_own_network_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], []])
async def test_a_host_with_one_private_address_is_refused_as_a_whole(found: list[str]) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return found

    with pytest.raises(NotPublic):
        await public_addresses("rebinding.example.com", 443, lookup)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.com/x", "ftp://push.example.com", "push.example.com", "https://", "https:///x", "",
        "https://user@push.example.com/x", "https://push.example.com/#x", "https://push.example.com/a b",
        "https://push.example.com/\r\nHost: x", "https://push.example.com:99999/", "https://pu\u0301sh.example.com/",
        "https://push.example.com\\@10.0.0.1/", "https://[::1/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_an_endpoint_is_a_plain_https_address(endpoint: str) -> None:
    with pytest.raises(Refused):
        check_endpoint(endpoint)


def test_host_and_port_of_an_endpoint() -> None:
    assert check_endpoint("https://push.example.com/wpush/v2/x?y=1") == ("push.example.com", 443)
    assert check_endpoint("https://[2606:4700::1111]:8443/x") == ("2606:4700::1111", 8443)


@pytest.mark.parametrize(
    "recipient",
    ["a@example.com\r\nBcc: b@example.com", "a@example.com\n\nbody", "a@example.com, b@example.com", "a", ""],
)
def test_an_address_adds_no_header_and_no_recipient(recipient: str) -> None:
    with pytest.raises(Refused):
        compose("alerts@example.com", recipient, Message("n", "text"))


@given(st.text())
def test_a_text_stays_in_its_place(text: str) -> None:
    mail = compose("alerts@example.com", "asha@example.com", Message("n", text.encode(errors="replace").decode()))
    head = mail.as_bytes().partition(b"\r\n\r\n")[0].decode()
    names = [line.partition(":")[0] for line in head.split("\r\n") if not line.startswith((" ", "\t"))]
    assert len(names) == len(set(names))
    assert set(names) == {
        "To", "From", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding",
        "MIME-Version",
    }  # fmt: skip
    assert "\n" not in one_line(text)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Will NOT trade today: INFY 09:20. Your login has ended: log in again. Log in here: https://a.in/l?code=abc",
         "Will NOT trade today: INFY 09:20. Your login has ended: log in again."),
        ("Log in here: HTTPS://a.in/l?code=abc", "a link for you"),
        ("See http://a.in/x, and then sell.", "See and then sell."),
        ("Sold 10 INFY at ₹1,499.20.", "Sold 10 INFY at ₹1,499.20."),
    ],
)  # fmt: skip
def test_the_subject_of_a_mail_has_no_link(text: str, subject: str) -> None:
    mail = compose("alerts@example.com", "asha@example.com", Message("n", text))
    assert mail["Subject"] == f"TradeActors: {subject}"
    assert mail.get_content() == f"{text}\n"


def test_a_hint_does_not_show_the_address() -> None:
    assert [email_hint(address) for address in ("asha@example.com", "a@x.in")] == ["as***@example.com", "a***@x.in"]
