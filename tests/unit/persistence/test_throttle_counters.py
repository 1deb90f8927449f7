"""Attempts that are counted in memory, while Redis is away."""

from persistence.throttle_counters import Limit, MemoryCounters


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_waits_grow_after_each_refusal_and_are_forgotten_after_a_day() -> None:
    clock = Clock()
    counters, limit = MemoryCounters(clock=clock), Limit(2, (300, 900, 3600))
    waits = []
    for _ in range(4):
        counts = [await counters.add("account", limit) for _ in range(3)]
        assert [count for count, _ in counts] == [1, 2, 3]
        waits.append(counts[-1][1])
        clock.seconds += counts[-1][1] + 1
    assert waits == [300, 900, 3600, 3600]
    clock.seconds += 86_400
    assert [await counters.add("account", limit) for _ in range(3)][-1] == (3, 300)


async def test_a_flood_of_accounts_takes_a_bounded_part_of_the_memory() -> None:
    counters = MemoryCounters(remembered=100)
    for number in range(1000):
        await counters.add(f"account {number}", Limit(10, (300,)))
    assert len(counters._kept) == 100


async def test_what_is_taken_back_is_not_counted_and_what_is_forgotten_begins_at_zero() -> None:
    counters, limit = MemoryCounters(), Limit(10, (300,))
    for _ in range(3):
        await counters.add("account", limit)
    await counters.take_back("account")
    assert await counters.add("account", limit) == (3, 300)
    await counters.forget("account")
    await counters.take_back("account")
    assert await counters.add("account", limit) == (1, 300)
