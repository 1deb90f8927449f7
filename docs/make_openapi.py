"""Writes docs/openapi.json, the committed description of the API: `make openapi`."""

import json
from pathlib import Path
from typing import Any

from api.app import create_app
from config.settings import Settings

FILE = Path(__file__).parent / "openapi.json"


def document() -> dict[str, Any]:
    """The document that the API serves at /openapi.json, whatever its settings."""
    return create_app(Settings(_env_file=None)).openapi()


def as_text(description: dict[str, Any]) -> str:
    """One line for each value, in a fixed order, so that a change shows as what it is."""
    return json.dumps(description, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(as_text(document()), encoding="utf-8")
