"""Odd data directories, as far as files show them: a start goes on, or says in a sentence what to do.

A folder `data` stands for the directory itself; files beside it are where links lead. Modes are set as `up` sets them.
"""

import shutil
from pathlib import Path

import pytest

from config.settings import SettingsError
from config.stack.completeness import refuse_incomplete
from config.stack.data_directory import DataDirectoryLock, find_running_stack
from config.stack.guarded_process import StackError
from tests.corpus.outcomes import CORPUS, outcomes_of
from tests.kit.stack import stack_settings

FOLDER = CORPUS / "data_directories"


@pytest.mark.parametrize(("name", "outcome"), outcomes_of("data_directories"))
def test_a_start_on_the_directory_goes_on_or_says_what_to_do(name: str, outcome: str, tmp_path: Path) -> None:
    assert outcome_of(name, tmp_path) == outcome


def outcome_of(name: str, tmp_path: Path) -> str:
    """What a start on a copy of a folder says, up to the start of the first part."""
    data_dir = tmp_path / "data"
    source = FOLDER / name
    if source.is_file():
        shutil.copyfile(source, data_dir)
    else:
        shutil.copytree(source, data_dir, symlinks=True)
        data_dir.chmod(0o700)
        for path in data_dir.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o700 if path.is_dir() else 0o600)
    try:
        assert find_running_stack(data_dir) is None
        settings = stack_settings(data_dir)
        DataDirectoryLock(settings.data_dir).release()
        refuse_incomplete(settings.data_dir)
    except (SettingsError, StackError) as refused:
        return str(refused).replace(str(tmp_path), "")
    return "starts"
