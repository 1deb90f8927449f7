"""The sentences of readiness: which strategies will trade today, which will not and why, and what to do (row N3)."""

from collections.abc import Sequence

from actors.domain.notices.texts import sentence

MOST_NAMED = 8
"""How many strategies a sentence names."""


def named(names: Sequence[str]) -> str:
    """Strategies as a trader knows them, such as `INFY 09:20`: all of a few, some of many."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} others"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def all_well(names: Sequence[str]) -> str:
    """Nothing is in the way."""
    return f"All well: {named(names)} will trade today."


def well_again(names: Sequence[str]) -> str:
    """What was in the way is gone."""
    return f"Ready: {named(names)} will trade today."


def after_all(names: Sequence[str]) -> str:
    """Of strategies that were said not to trade."""
    return f"{named(names)} will trade today after all."


def look_at(names: Sequence[str], what: str) -> str:
    """Strategies trade as far as is known, and their owner should know something."""
    begins = f"{named(names)}: look before the session. " if names else ""
    return f"{begins}{sentence(what)}"


def will_not_trade(names: Sequence[str], reason: str, link: str = "") -> str:
    """As it stands, these do not trade."""
    tap = f" Log in here: {link}" if link else ""
    return f"Will NOT trade today: {named(names)}. {sentence(reason)}{tap}"
