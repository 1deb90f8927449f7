"""The light end of the order plane: without a link a command is answered, not lost, and in doubt it goes by Ray."""

import pytest

from actors.ports.common import PeerUnavailable
from actors.runtime.plane.orders import OrderLink
from tests.kit.execution import a_command


async def test_a_command_without_a_link_is_in_doubt_at_once() -> None:
    link = OrderLink(lambda _: None)
    assert not link.alive
    with pytest.raises(PeerUnavailable):
        await link.execute(a_command())
