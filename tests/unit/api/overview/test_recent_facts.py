"""However many scrape at once, the stores are asked once in two seconds."""

import asyncio
from typing import Any

from api.overview import looking
from api.overview.facts import Facts
from api.overview.looking import RecentFacts
from tests.unit.config.overview.facts import facts


class Counted:
    """A look that counts itself."""

    looks = 0

    async def look(self, *, ask_head: bool) -> Facts:
        assert not ask_head
        self.looks += 1
        await asyncio.sleep(0)
        return facts()


async def test_scrapes_at_once_and_soon_after_share_one_look() -> None:
    stores: Any = Counted()
    recent = RecentFacts(stores)
    seen = await asyncio.gather(*(recent.facts() for _ in range(20)))
    assert (stores.looks, len(set(map(id, seen)))) == (1, 1)
    recent._seen = (recent._seen[0] - looking.FRESH_S - 0.1, seen[0]) if recent._seen else None
    await recent.facts()
    assert stores.looks == 2
