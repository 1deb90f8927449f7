"""The chaos report has two tables of two runs: writing one leaves the other."""

from pathlib import Path

OUTSIDE = "## What happens outside"


def with_section(report: Path, section: str) -> None:
    """Put the second table behind the first, in place of an older one."""
    first, _, _ = _read(report).partition(OUTSIDE)
    report.write_text(f"{first.rstrip()}\n\n{section}".lstrip(), encoding="utf-8")


def with_first(report: Path, first: str) -> None:
    """Put the first table before the second, in place of an older one."""
    _, heading, second = _read(report).partition(OUTSIDE)
    report.write_text(f"{first.rstrip()}\n" + (f"\n{heading}{second}" if heading else ""), encoding="utf-8")


def _read(report: Path) -> str:
    return report.read_text(encoding="utf-8") if report.exists() else ""
