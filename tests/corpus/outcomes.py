"""The outcomes that lie beside the odd files: `outcomes.toml` of each folder, one file a line."""

import tomllib
from pathlib import Path

CORPUS = Path(__file__).parent
OUTCOMES = "outcomes.toml"


def outcomes_of(kind: str) -> list[tuple[str, str]]:
    """The names of a folder and the outcome of each.

    Raises:
        ValueError: a file has no outcome, or an outcome has no file.
    """
    folder = CORPUS / kind
    outcomes: dict[str, str] = tomllib.loads((folder / OUTCOMES).read_text(encoding="utf-8"))
    there = {path.name for path in folder.iterdir()} - {OUTCOMES, "__pycache__"}
    if there != outcomes.keys():
        raise ValueError(f"{kind}: only one of file and outcome: {sorted(there ^ outcomes.keys())}")
    return sorted(outcomes.items())
