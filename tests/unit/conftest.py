"""Unit tests may not cheat: no Ray, no sockets."""

import socket

import pytest


@pytest.fixture(autouse=True)
def no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a unit test may not open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
