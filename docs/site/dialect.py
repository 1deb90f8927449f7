"""What GitHub's Markdown and Python's, which makes the site, read differently: the pages are written for GitHub."""

import re

ITEM = re.compile(r"(?:[-*+]|\d+[.)]) +")
FENCE = re.compile(r"(`{3,}|~{3,})")
STEP = 4
"""How many columns Python's Markdown wants what belongs to an item of a list to be indented."""


def as_python_reads(text: str) -> str:
    """The page for Python's Markdown: lists within lists, and bars within code within tables."""
    return _with_bars_in_code(_with_wide_lists(text))


def _with_wide_lists(text: str) -> str:
    """GitHub wants what belongs to an item to begin where its text does: after `- ` that is two columns."""
    lines: list[str] = []
    begins: list[int] = []  # where the texts of the items begin that this line is in
    fence = ""
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        if not line.strip():
            lines.append(line)
            continue
        while not fence and begins and indent < begins[-1]:
            begins.pop()
        cut = min(begins[-1], indent) if begins else 0
        rest = line[cut:]
        lines.append(" " * STEP * len(begins) + rest)
        if mark := FENCE.match(rest.lstrip(" ")):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        elif not fence and (item := ITEM.match(rest)):
            begins.append(cut + len(item[0]))
    return "\n".join(lines)


def _with_bars_in_code(text: str) -> str:
    """GitHub wants a bar within code within a table to be escaped; Python's Markdown shows the backslash."""
    return re.sub(r"^\|.*$", lambda row: re.sub(r"`[^`]*`", _without_backslash, row[0]), text, flags=re.MULTILINE)


def _without_backslash(code: re.Match[str]) -> str:
    return code[0].replace("\\|", "|")
