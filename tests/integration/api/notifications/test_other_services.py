"""Other services by Apprise: only those that are listed, and never one that is not in the public Internet (row N1)."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.notifications.sending.other_services import OtherServices, service_hint
from api.notifications.sending.outcomes import Address, Message, NotSent, Refused
from config.settings import Settings
from tests.integration.api_user import ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.hostile_http import HostileBroker, hostile_broker

pytest_plugins = ["tests.integration.fixtures"]

CHANNELS = "/notifications/channels"
HERE = "import api.notifications.sending.apprise_child as c; c.main(lambda a: a == '127.0.0.1')"
"""The process of a message, for which this machine is a public address: the only one that a test can reach."""

MESSAGE = Message("name", "Sold 10 INFY at ₹1,499.20. <b>/panic</b>")


@pytest.fixture
def service() -> Iterator[HostileBroker]:
    with hostile_broker() as server:
        yield server


def address(server: HostileBroker, path: str = "topic") -> Address:
    return Address(f"json://{server.url.partition('://')[2]}/{path}")


def reaching_this_machine(*schemes: str) -> OtherServices:
    return OtherServices(schemes, child=(sys.executable, "-c", HERE))


async def test_a_message_reaches_a_service_that_is_listed(service: HostileBroker) -> None:
    one = reaching_this_machine("json")
    await one.check(address(service).value)
    assert service.requests == [], "to look at an address connects to nothing"
    await one.send(address(service), MESSAGE)
    ((method, path, _),) = service.requests
    assert (method, path) == ("POST", "/topic")


async def test_no_address_of_our_network_is_connected_to(service: HostileBroker) -> None:
    with pytest.raises(Refused, match="not public"):
        await OtherServices(["json"]).send(address(service), MESSAGE)
    assert service.requests == []


async def test_a_redirect_into_our_network_is_not_followed(service: HostileBroker) -> None:
    service.status, service.headers = 302, {"Location": "http://127.0.0.2:9/"}
    with pytest.raises((Refused, NotSent)):
        await reaching_this_machine("json").send(address(service), MESSAGE)


async def test_a_scheme_that_is_not_listed_is_refused_also_later(service: HostileBroker) -> None:
    with pytest.raises(Refused, match="not offered"):
        await reaching_this_machine("ntfys").check(address(service).value)
    with pytest.raises(Refused, match="not offered"):
        await reaching_this_machine("ntfys").send(address(service), MESSAGE)
    assert service.requests == []


@pytest.mark.parametrize("url", ["ntfys://ntfy.sh/one/two", "ntfys://a\r\nb", "nonsense", "json://रमा/"])
async def test_what_is_no_address_of_one_recipient_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        await OtherServices(["ntfys", "json"]).check(url)


async def test_a_service_that_refuses_is_tried_again_and_no_secret_is_in_the_environment(
    service: HostileBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.status = 500
    with pytest.raises(NotSent):
        await reaching_this_machine("json").send(address(service), MESSAGE)
    monkeypatch.setenv("TRADEACTORS_JWT_SECRET", "s3cret")
    seen = "import os, json; print(json.dumps({'outcome': os.environ.get('TRADEACTORS_JWT_SECRET', 'sent')}))"
    await OtherServices(["json"], child=(sys.executable, "-c", seen)).send(address(service), MESSAGE)


async def test_a_process_that_breaks_is_a_failure(service: HostileBroker) -> None:
    with pytest.raises(NotSent):
        await OtherServices(["json"], child=(sys.executable, "-c", "print('{')")).send(address(service), MESSAGE)


def test_a_hint_has_the_scheme_only() -> None:
    assert service_hint("ntfys://user:password@ntfy.sh/topic") == "ntfys://***"


async def test_an_address_is_added_only_where_its_service_is_offered_and_public(
    service: HostileBroker, settings: Settings, engine: FakeEngine
) -> None:
    async with serving(settings, engine) as client:
        user = await ApiUser.register(client)
        answer = await user.call("POST", CHANNELS, kind="apprise", address=address(service).value)
        assert (answer.status_code, answer.json()["code"]) == (409, "channel_not_offered")
    async with serving(settings, engine, notification_schemes=("json",)) as client:
        user = at(user, client)
        for value in (address(service).value, "xml://example.com/", "json://रमा/", "json:///"):
            answer = await user.call("POST", CHANNELS, kind="apprise", address=value)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "address"), value
    assert service.requests == []


@pytest.mark.parametrize("schemes", ["dbus", "NTFYS", "https", "ntfys,syslog", "a b"])
def test_schemes_of_this_machine_stop_the_start(schemes: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Apprise"):
        Settings(_env_file=None, data_dir=tmp_path, notification_schemes=schemes)
    listed = Settings(_env_file=None, data_dir=tmp_path, notification_schemes="ntfys, slack")
    assert listed.notification_schemes == ("ntfys", "slack")
