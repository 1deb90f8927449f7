"""The pure rules of accounts: what counts as one address, and what is no password."""

import pytest

from api.users.passwords.common import is_common
from api.users.passwords.rules import resembles
from persistence.login_throttle import network_of, networks_of


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("unknown", "unknown"),
    ],
)
def test_one_customer_counts_as_one_address(address: str, counted_as: str) -> None:
    assert network_of(address) == counted_as


@pytest.mark.parametrize("password", ["asha.rao@example.com", "ASHA.RAO@example.com", "asha.rao", "Asha.Rao"])
def test_the_address_is_no_password(password: str) -> None:
    assert resembles(password, "asha.rao@example.com")


@pytest.mark.parametrize("password", ["asha.rao1", "example.com", "", "correct horse battery"])
def test_anything_else_is(password: str) -> None:
    assert not resembles(password, "asha.rao@example.com")


def test_a_customer_with_many_networks_is_counted_in_the_larger_ones_too() -> None:
    assert networks_of("2001:db8:1:2::1") == [
        ("2001:db8:1:2::/64", 1),
        ("2001:db8:1::/56", 2),
        ("2001:db8:1::/48", 4),
    ]
    assert networks_of("::ffff:192.0.2.1") == [("192.0.2.1", 1)]


@pytest.mark.parametrize(
    "password",
    [
        "password", "PassWord", "password123", "passw0rd", "qwertyui", "qwertyuiop", "12345678", "9876501234",
        "iloveyou", "aaaaaaaaaa", "abababababab", "tradeactors", "Zerodha", " basketball ", "1q2w3e4r5t",
    ],
)  # fmt: skip
def test_what_a_guesser_tries_first_is_common(password: str) -> None:
    assert is_common(password)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "a better battery, stapled",
        "blue-tram-at-noon",
        "Kq7!vT2#mZ",
        "caf\u00e9 au lait",
        "मेरा छोटा घोड़ा",
    ],
)
def test_several_words_or_chance_is_not(password: str) -> None:
    assert not is_common(password)
