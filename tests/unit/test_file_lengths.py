"""No file of code is longer than a reader takes in at one sitting."""

from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
FOLDERS = ("actors", "api", "benchmarks", "broker", "config", "docs", "persistence", "tests")
MOST_LINES = 400
MOST_IN_THE_MEDIAN = 110


def test_no_file_has_too_many_lines() -> None:
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 500
    lengths = {file.relative_to(ROOT): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {str(file): lines for file, lines in lengths.items() if lines > MOST_LINES} == {}


def test_half_of_the_files_can_be_read_at_two_looks() -> None:
    for folders in (("actors", "api", "broker", "config", "persistence"), ("tests",)):
        files = [file for folder in folders for file in (ROOT / folder).rglob("*.py") if file.name != "__init__.py"]
        assert median(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= MOST_IN_THE_MEDIAN
