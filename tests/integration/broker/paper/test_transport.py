"""Connections that the exchange cuts: as networks do, and without harm to one that has ended by itself."""

import asyncio

import pytest

from broker.paper.base.transport import reset


class Accepted(asyncio.Protocol):
    """The exchange's side of one connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.made, self.ended = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.made.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended.set()


async def a_connection() -> tuple[Accepted, asyncio.Transport, asyncio.StreamReader, asyncio.StreamWriter]:
    accepted = Accepted()
    server = await asyncio.get_running_loop().create_server(lambda: accepted, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await accepted.made.wait()
    server.close()
    assert accepted.transport is not None
    return accepted, accepted.transport, reader, writer


async def test_a_reset_is_one_for_the_client() -> None:
    _, transport, reader, writer = await a_connection()
    reset(transport)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_connection_that_has_ended_meanwhile_is_left_alone() -> None:
    accepted, transport, _, writer = await a_connection()
    transport.abort()
    await accepted.ended.wait()
    await asyncio.sleep(0)  # the socket is closed after its protocol has heard of it
    assert transport.get_extra_info("socket").fileno() < 0
    reset(transport)
    writer.close()
