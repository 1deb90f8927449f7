"""Where the app is: on this machine, and from a phone (row O1)."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from config.commands.app_address import app_for_phones, app_on, qr_code
from config.commands.cli import _print_places
from config.settings import Settings
from config.stack.stack import Stack


def settings(**changes: object) -> Settings:
    return Settings(_env_file=None, api_port=8000, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_an_api_that_only_this_machine_reaches_has_no_address_for_a_phone(host: str) -> None:
    assert app_for_phones(settings(api_host=host)) is None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.168.1.5", "http://192.168.1.5:8000/app/"),
        ("fd00::5", "http://[fd00::5]:8000/app/"),
        ("home.lan", "http://home.lan:8000/app/"),
    ],
)
def test_an_address_of_the_network_is_the_phones(host: str, address: str) -> None:
    assert app_for_phones(settings(api_host=host)) == address


def test_the_public_address_comes_first() -> None:
    public = settings(api_host="192.168.1.5", public_url="https://api.example.com/trade")
    assert app_for_phones(public) == app_on("https://api.example.com/trade") == "https://api.example.com/trade/app/"


def test_a_code_to_scan_is_a_square_of_half_lines_in_colours_of_its_own() -> None:
    code = qr_code("http://192.168.1.5:8000/app/")
    lines = code.plain.splitlines()
    widths = {len(line) for line in lines}
    assert len(widths) == 1
    assert len(lines) * 2 - widths.pop() in {0, 1}
    assert set(code.plain) <= set("█▀▄ \n")
    assert str(code.style) == "bright_white on black"


def test_up_shows_addresses_and_directories_with_brackets_as_they_are(tmp_path: Path) -> None:
    written = io.StringIO()
    stack = Stack(settings(api_host="fd00::5", data_dir=tmp_path / "[red]"))
    _print_places(Console(file=written, width=200), stack)
    assert "http://[fd00::5]:8000/docs" in written.getvalue()
    assert f"{tmp_path}/[red]/logs" in written.getvalue()
