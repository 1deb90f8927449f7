"""The pure rules of accounts: what counts as one address, and what is no password."""

import pytest

from api.users.password_rules import resembles
from persistence.login_throttle import network_of


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
