"""No file of code is longer than a reader takes in at one sitting."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("actors", "api", "benchmarks", "broker", "config", "docs", "persistence", "tests")
MOST_LINES = 400


def test_no_file_has_too_many_lines() -> None:
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 500
    lengths = {file.relative_to(ROOT): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {str(file): lines for file, lines in lengths.items() if lines > MOST_LINES} == {}
