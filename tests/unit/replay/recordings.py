"""Recordings for the tests: files written byte by byte, and a day that ships with the product."""

from datetime import datetime, timedelta
from pathlib import Path

YESBANK = Path(__file__).parents[3] / "broker" / "paper" / "data" / "YESBANK-2019-07-09-1min.csv"
HEADER = "time_ist,open,high,low,close,volume"
OPEN = datetime.fromisoformat("2019-07-09T09:15:00+05:30")
MINUTE = timedelta(minutes=1)


def a_file(folder: Path, content: str | bytes, name: str = "day.csv") -> Path:
    """A file of these bytes, or of this text in UTF-8."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def ours(*lines: str, header: str = HEADER) -> str:
    """A file of our own columns."""
    return "\n".join([header, *lines]) + "\n"


def ours_of(*starts: datetime, prices: str = "95.00,96.00,93.90,94.85") -> str:
    """A file of our own columns with a bar at each of these times."""
    return ours(*(f"{start.isoformat()},{prices},100" for start in starts))


def minutes(*numbers: int) -> list[datetime]:
    """These minutes of the session, from 0 at the open."""
    return [OPEN + number * MINUTE for number in numbers]
