"""How a user wants notices: which kinds, how loud, and when not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.domain.notices.notice import USUAL_LEVELS, Level, NoticeKind
from actors.domain.notices.quiet_hours import USUAL_QUIET_HOURS, QuietHours
from persistence.database.models.notifications import NotificationPreferences


@dataclass(frozen=True, slots=True)
class Preferences:
    """How a user wants notices. `quiet` None: no quiet hours. `amounts`: locked screens may show them."""

    quiet: QuietHours | None = USUAL_QUIET_HOURS
    amounts: bool = False
    levels: Mapping[NoticeKind, Level] = field(default_factory=lambda: USUAL_LEVELS)

    def level(self, kind: NoticeKind) -> Level:
        """How notices of a kind reach the user's devices."""
        return self.levels.get(kind, USUAL_LEVELS[kind])


def preferences_of(row: NotificationPreferences | None) -> Preferences:
    """Those of a row; the usual ones without a row. Kinds that this version does not know are left out."""
    if row is None:
        return Preferences()
    quiet = None
    if row.quiet_from is not None and row.quiet_until is not None:
        quiet = QuietHours(row.quiet_from, row.quiet_until)
    known = {kind: Level(row.levels[kind]) for kind in NoticeKind if kind in row.levels}
    return Preferences(quiet, row.amounts, {**USUAL_LEVELS, **known})
