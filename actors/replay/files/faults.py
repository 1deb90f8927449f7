"""Why a file is no recording, in one sentence that can be shown on any terminal."""

from actors.domain.errors import InvalidValue

_MOST_SHOWN = 40

EXPORT_AGAIN = "export the day again, one row for each minute"
"""What to do about a file that holds too little of its day."""


class NotARecording(InvalidValue):
    """The file, or the row at `place` ("line 7"), cannot be used; the text says why."""

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(f"{place}: {why}" if place else why)
        self.why = why
        self.place = place


def shown(text: str) -> str:
    """A text of the file in quotes: cut short, and without what a terminal would act on or cannot show."""
    cut = text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
    return f"'{plain(cut)}'"


def plain(text: str) -> str:
    """The text with everything replaced that a terminal would act on or cannot show."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
