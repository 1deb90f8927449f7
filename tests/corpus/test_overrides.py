"""Odd files of CALENDAR_OVERRIDES: each gives its days, or one sentence a mistake with the line that it is on."""

from pathlib import Path

import pytest

from actors.domain.session import SessionHours
from api.bootstrap import calendars_of
from broker.market.override_file import OverrideFile
from config.settings import Settings, SettingsError
from tests.corpus.outcomes import CORPUS, outcomes_of
from tests.kit.stack import stack_settings

FOLDER = CORPUS / "overrides"


@pytest.mark.parametrize(("name", "outcome"), outcomes_of("overrides"))
def test_the_days_of_the_file_or_what_is_wrong_with_it(name: str, outcome: str, tmp_path: Path) -> None:
    settings = stack_settings(tmp_path, calendar_overrides=FOLDER / name)
    problems = _problems(settings)
    if not problems:
        assert _said(OverrideFile(FOLDER / name)) == outcome
        return
    named = f"TRADEACTORS_CALENDAR_OVERRIDES {FOLDER / name}, "
    assert all(problem.startswith(named) for problem in problems)
    assert "\n".join(problem.removeprefix(named) for problem in problems) == outcome


def _problems(settings: Settings) -> tuple[str, ...]:
    try:
        calendars_of(settings)
    except SettingsError as refused:
        return refused.problems
    return ()


def _said(file: OverrideFile) -> str:
    return "; ".join(
        f"{day} {', '.join(map(_session, sessions)) or 'closed'}" for day, sessions in sorted(file.days.items())
    )


def _session(session: SessionHours) -> str:
    square_off = f" square_off {session.square_off:%H:%M}" if session.square_off else ""
    last_entry = f" last_entry {session.last_entry:%H:%M}" if session.last_entry else ""
    return f"{session.opens:%H:%M}-{session.closes:%H:%M}{square_off}{last_entry}"
