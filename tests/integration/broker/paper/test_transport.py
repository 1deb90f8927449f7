"""Connections that the exchange cuts: as networks do, and without harm to one that has ended by itself."""

import asyncio

import pytest

from broker.paper.base.transport import reset


async def a_connection() -> tuple[asyncio.Transport, asyncio.StreamReader, asyncio.StreamWriter]:
    """The exchange's side of one, and its client's."""
    made: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            made.put_nowait(transport)

    server = await asyncio.get_running_loop().create_server(Accepting, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    accepted = await made.get()
    server.close()
    return accepted, reader, writer


async def test_a_reset_is_one_for_the_client() -> None:
    accepted, reader, writer = await a_connection()
    reset(accepted)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_connection_that_has_ended_meanwhile_is_left_alone() -> None:
    accepted, _, writer = await a_connection()
    accepted.abort()
    while accepted.get_extra_info("socket").fileno() >= 0:  # noqa: ASYNC110 - a transport notifies no caller
        await asyncio.sleep(0)
    reset(accepted)
    writer.close()
