"""The light end of the order plane: without a link a command is answered, not lost, and in doubt it goes by Ray."""

import pytest

from actors.ports.common import PeerUnavailable
from actors.runtime.plane.orders import OrderLine
from tests.kit.execution import a_command


async def test_a_command_without_a_link_is_in_doubt_at_once() -> None:
    line = OrderLine(lambda _: None)
    assert not line.alive
    with pytest.raises(PeerUnavailable):
        await line.execute(a_command())
