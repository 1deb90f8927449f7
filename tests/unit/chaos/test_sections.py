"""Writing one table of the chaos report leaves the other."""

from pathlib import Path

from tests.chaos.sections import OUTSIDE, with_first, with_section


def test_each_table_is_replaced_alone(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    with_section(report, f"{OUTSIDE}\n\nold second\n")
    with_first(report, "# Chaos report\n\nold first\n")
    with_section(report, f"{OUTSIDE}\n\nsecond\n")
    with_first(report, "# Chaos report\n\nfirst\n")
    assert report.read_text() == f"# Chaos report\n\nfirst\n\n{OUTSIDE}\n\nsecond\n"
