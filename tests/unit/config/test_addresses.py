"""Directories and addresses in settings: a home that does not exist, and IPv6."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.settings import PREFIX, Settings, SettingsError, load_settings
from config.stack.stack import Stack
from tests.kit.stack import no_settings_in_environment

ROOT = str(Path(__file__).parents[3])
WITHOUT_NAME = """
import os
from config.settings import SettingsError, given_settings
os.environ.pop("HOME", None)
os.setuid(54321)
try:
    given_settings(None)
except SettingsError as refused:
    print(refused)
"""


def settings(**overrides: Any) -> Settings:
    with no_settings_in_environment():
        return load_settings(secrets="optional", env_file=None, **overrides)


@pytest.mark.parametrize("name", ["DATA_DIR", "SECRETS_DIR"])
def test_a_home_that_does_not_exist_is_said_in_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + name, "~no-such-user-of-this-machine/data")

    with pytest.raises(SettingsError, match=f"^TRADEACTORS_{name} must be a path from the root .* needs a home\\.$"):
        load_settings(secrets="optional", env_file=None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that is not known")
def test_a_user_without_a_name_and_without_home_is_asked_for_a_directory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NAME], env={"PYTHONPATH": ROOT}, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("TRADEACTORS_DATA_DIR must be a path from the root"), done.stderr


def test_an_address_of_ipv6_is_shown_in_brackets() -> None:
    stack = Stack(settings(api_host="::1", api_port=18000))
    assert stack.urls["API"] == "http://[::1]:18000"
    assert Stack(settings(api_host="::", api_port=18000)).urls["API"] == "http://[::1]:18000"


@pytest.mark.parametrize(
    "address",
    ["trade.example", "ftp://trade.example", "https://", "https://a:b@trade.example", "https://trade.example/?a=b",
     "https://trade.example/#a", "https://trade.example/a b"],
)  # fmt: skip
def test_the_public_address_is_one_that_a_path_can_be_put_behind(address: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(secrets="optional", env_file=None, public_url=address)
    (problem,) = refused.value.problems
    assert problem.startswith("TRADEACTORS_PUBLIC_URL must ")
