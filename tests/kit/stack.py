"""A real stack for tests: free ports, a data directory of its own, nothing taken from the developer's settings.

Import this module before `ray` (a root conftest.py that imports it is enough): Ray reads its settings at its import.
"""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.ray_settings import RAY_SETTINGS
from config.settings import PREFIX, Settings, load_settings
from config.stack.guarded_process import short_temporary_directory
from config.stack.stack import Part, Stack

os.environ.update(RAY_SETTINGS)


@contextmanager
def temporary_data_dir() -> Iterator[Path]:
    """A short path that the database's OS user can reach when the tests run as root; removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="ta-data-", dir=short_temporary_directory()))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables while the block runs and put the old ones back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def no_settings_in_environment() -> Iterator[None]:
    """Hide every TRADEACTORS_ variable of the developer's shell while the block runs."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def stack_settings(data_dir: Path, **overrides: Any) -> Settings:
    """Settings of an embedded stack on free ports, whatever the environment and `.env` say."""
    chosen = {"api_port": 0, "paper_port": 0, "dashboard_port": 0, "starts_per_minute": 0, **overrides}
    with no_settings_in_environment():
        return load_settings(secrets="create", env_file=None, data_dir=data_dir, **chosen)


@contextmanager
def running_stack(
    parts: Collection[Part] = tuple(Part),
    *,
    migrate: bool = True,
    secrets: Mapping[str, str] | None = None,
    **overrides: Any,
) -> Iterator[Stack]:
    """A running stack, whose variables (TRADEACTORS_*, and Ray's) are in `os.environ` while the block runs.

    `secrets`: variables that a stack passes on to none of its parts, so that they must inherit them.
    Meant for one session fixture: with them `load_settings()` and `ray.init(settings.ray_address)` simply work.
    """
    with (
        no_settings_in_environment(),
        environment(dict(secrets or {})),
        temporary_data_dir() as data_dir,
        Stack(stack_settings(data_dir, **overrides), parts=parts, migrate=migrate) as stack,
        environment(stack.environment),
    ):
        yield stack
