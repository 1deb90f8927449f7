"""The stop-loss levels of one symbol, kept sorted: a price costs O(log n + breached)."""

from bisect import bisect_left, insort

from actors.domain.money import Paise


class StopLevels:
    """Levels in paise, each of one owner. The order of a breach is a courtesy: each owner makes its own check."""

    def __init__(self) -> None:
        self._sorted: list[tuple[Paise, int]] = []
        self._level_of: dict[int, Paise] = {}

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def set(self, owner: int, level: Paise) -> None:
        """Add the owner's level, or move it."""
        self.remove(owner)
        self._level_of[owner] = level
        insort(self._sorted, (level, owner))

    def remove(self, owner: int) -> None:
        """Forget the owner's level; unknown owners are ignored."""
        level = self._level_of.pop(owner, None)
        if level is not None:
            self._sorted.pop(bisect_left(self._sorted, (level, owner)))

    def breached_by(self, price: Paise) -> list[int]:
        """Owners whose level is at or above the price, the most distant breach first."""
        first = bisect_left(self._sorted, (price, -1))
        return [owner for _, owner in reversed(self._sorted[first:])]
