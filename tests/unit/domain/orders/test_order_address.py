"""The address that orders leave from, against those that are registered (kite.md §4.7)."""

import pytest

from actors.domain.orders.order_address import (
    SeenAddress,
    Standing,
    alarm,
    doubt,
    is_public,
    leaving_sentence,
    of_all,
    usual_form,
)

REGISTERED = ("3.7.0.9", "2406:da1a::9")
RIGHT, RIGHT_TOO = SeenAddress("execution:0", "3.7.0.9"), SeenAddress("execution:1", "2406:da1a::9")
WRONG, WRONG_TOO = SeenAddress("execution:2", "3.7.0.10"), SeenAddress("execution:3", "3.7.0.10")
NOT_KNOWN = SeenAddress("execution:4", unknown="it does not answer")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("3.7.0.9", "3.7.0.9"),
        ("2406:DA1A:0:0::9", "2406:da1a::9"),
        ("::ffff:3.7.0.9", "3.7.0.9"),
        ("fe80::1%eth0", None),
        ("3.7.0.9:443", None),
        ("[2406:da1a::9]", None),
        ("3.7.0.0/24", None),
        ("03.7.0.9", None),
        (" 3.7.0.9", None),
        ("kite.example", None),
        ("", None),
    ],
)
def test_an_address_has_one_form(text: str, form: str | None) -> None:
    assert usual_form(text) == form


@pytest.mark.parametrize(
    "address",
    ["10.0.0.7", "172.31.9.9", "192.168.1.7", "100.64.0.7", "127.0.0.1", "169.254.1.1", "224.0.1.1", "0.0.0.0",  # noqa: S104
     "fd00::7", "fe80::1", "::1", "::", "ff02::1"],
)  # fmt: skip
def test_no_broker_sees_orders_come_from_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)
    assert all(map(is_public, REGISTERED))


@pytest.mark.parametrize(
    ("registered", "seen", "standing"),
    [
        ((), (), Standing.NOT_COMPARED),
        ((), (WRONG, NOT_KNOWN), Standing.NOT_COMPARED),
        (REGISTERED, (), Standing.UNKNOWN),
        (REGISTERED, (RIGHT,), Standing.REGISTERED),
        (REGISTERED, (RIGHT, RIGHT_TOO), Standing.REGISTERED),
        (REGISTERED, (NOT_KNOWN,), Standing.UNKNOWN),
        (REGISTERED, (RIGHT, NOT_KNOWN), Standing.UNKNOWN),
        (REGISTERED, (WRONG,), Standing.OTHER),
        (REGISTERED, (RIGHT, WRONG), Standing.OTHER),
        (REGISTERED, (NOT_KNOWN, WRONG), Standing.OTHER),
        (("2406:da1a::9",), (RIGHT,), Standing.OTHER),  # by IPv4, and IPv6 alone is registered
    ],
)
def test_one_wrong_address_is_enough_and_all_must_be_known_to_be_right(
    registered: tuple[str, ...], seen: tuple[SeenAddress, ...], standing: Standing
) -> None:
    assert of_all(registered, seen) is standing


def test_the_operator_reads_both_addresses_and_where_the_wrong_one_is() -> None:
    said = alarm(REGISTERED, (RIGHT, WRONG, WRONG_TOO, NOT_KNOWN))
    assert said.startswith(
        "Orders leave from 3.7.0.10 (execution:2, execution:3), and ORDER_ADDRESSES has 3.7.0.9, 2406:da1a::9: "
    )


def test_what_is_not_known_is_said_with_its_reason() -> None:
    assert doubt((RIGHT, NOT_KNOWN)).endswith(" (execution:4: it does not answer)")
    assert doubt(()).endswith(" (no place answers)")
    assert leaving_sentence(REGISTERED, NOT_KNOWN, "10.0.0.7").endswith(": it does not answer")


def test_without_a_list_the_address_is_said_as_far_as_it_is_known() -> None:
    assert leaving_sentence((), WRONG, "10.0.0.7").startswith("leave from 3.7.0.10: ")
    assert leaving_sentence((), NOT_KNOWN, "10.0.0.7").startswith("leave from 10.0.0.7, or from what it is transl")
