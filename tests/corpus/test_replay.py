"""Odd files for `tradeactors replay`: each says what was understood of it, or in one sentence why it is refused."""

import pytest

from actors.replay.files.faults import NotARecording
from actors.replay.files.reading import read_recording
from actors.replay.ticks import walked
from tests.corpus.outcomes import CORPUS, outcomes_of

FOLDER = CORPUS / "replay"


@pytest.mark.parametrize(("name", "outcome"), outcomes_of("replay"))
def test_what_is_understood_of_the_file_or_why_it_is_refused(name: str, outcome: str) -> None:
    assert outcome_of(name) == outcome


def outcome_of(name: str) -> str:
    """The sentences about a file of the folder."""
    try:
        recording = read_recording(FOLDER / name)
    except NotARecording as refused:
        return str(refused).removeprefix(f"{name}: ")
    assert walked(recording.bars, recording.spacing, recording.closes)
    return ". ".join(recording.understood.sentences()) + "."
