"""What execution hears of the feed without a link to it: nothing, however live the feed is."""

from typing import TYPE_CHECKING, Any, cast

from actors.ports.prices import FeedStatus
from actors.runtime.plane.linked_ticks import LinkedWatch
from tests.kit.builders import INFY

if TYPE_CHECKING:
    from actors.runtime.peers import Peers


class FeedThatInvitesNobody:
    """A feed that answers, and to which no link can be made from here."""

    own_name, own_node = "execution:0", "here"

    async def call(self, *_about: object) -> Any:
        return FeedStatus(live=True), None


async def test_a_live_feed_without_a_link_brings_nothing() -> None:
    watch = LinkedWatch(cast("Peers", FeedThatInvitesNobody()), "feed:0", lambda _tick: None)
    assert not (await watch.subscribe(INFY)).live
    assert not (await watch.subscribe(INFY)).live
