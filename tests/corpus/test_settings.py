"""Odd files `.env`: each is taken, or gives a sentence for each mistake that says what to write, and no value of it."""

import pytest

from config.settings import PREFIX, SettingsError, load_settings
from tests.corpus.outcomes import CORPUS, outcomes_of
from tests.kit.stack import no_settings_in_environment

FOLDER = CORPUS / "settings"


@pytest.mark.parametrize(("name", "outcome"), outcomes_of("settings"))
def test_the_settings_are_taken_or_each_mistake_is_said(name: str, outcome: str) -> None:
    result = outcome_of(name)
    assert result == outcome
    assert "hidden" not in result or not result.startswith(PREFIX)


def outcome_of(name: str) -> str:
    """The settings that a file of the folder sets, or its mistakes; the files call a secret "hidden"."""
    try:
        with no_settings_in_environment():
            settings = load_settings(secrets="optional", env_file=str(FOLDER / name), data_dir=FOLDER.absolute())
    except SettingsError as refused:
        return str(refused).replace(f"{FOLDER}/", "")
    set_here = sorted(settings.model_fields_set - {"data_dir"})
    return ", ".join(f"{field} {getattr(settings, field)}" for field in set_here)
