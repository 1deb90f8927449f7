"""Where a phone finds an API that listens on all addresses of this machine (row O1)."""

from ipaddress import ip_address

from config.commands.app_address import app_for_phones
from config.settings import Settings


def test_an_api_that_listens_everywhere_says_the_address_that_packets_leave_from() -> None:
    found = app_for_phones(Settings(_env_file=None, api_host="0.0.0.0", api_port=8000))  # noqa: S104
    if found is not None:  # a machine without a network has none
        host = found.removeprefix("http://").removesuffix(":8000/app/")
        assert not ip_address(host).is_unspecified
