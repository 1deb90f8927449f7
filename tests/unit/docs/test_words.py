"""Plain words in documents, docstrings, comments and names: each word to avoid, with the words to use instead."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = ("actors", "api", "broker", "config", "persistence")
APP = ROOT / "api" / "web" / "client" / "src"
COLUMNS = 120
MOST_OF_A_CELL = 210
"""How many characters a cell of a table may have, without the targets of its links: more is a paragraph."""

INSTEAD = {
    r"\banew\b": "again, new",
    r"\bbec(?:o|a)mes? of\b": "what happened to, the result of",
    r"\bdesks?\b": "execution, the account",
    r"\bdoors?\b": "arrival, entry point, port",
    r"\bfar hosts?\b|\bfar away\b": "name the process",
    r"\bfor ever\b": "without limit, until it is cancelled",
    r"\bheavy (?:actors?|hosts?|process(?:es)?)\b|\blight (?:actors?|hosts?|process(?:es)?)\b": "name the actors",
    r"\b(?:orders?|exits?|intents?|those) in work\b|\b(?:is|are|was) in work\b": "working, outstanding",
    r"\bcalled back\b": "cancelled, withdrawn",
    r"\blest\b": "so that … not",
    r"\blets? go\b": "close, forget, end",
    r"\bover there\b|\bwithout a word\b": "name the process; unnoticed, without an answer",
    r"\bnothing heavy\b|\beverything heavy\b": "large libraries",
    r"\bsigns? of life\b|\bcom(?:e|es|ing) to life\b|\bback to life\b": "an answer; starts",
    r"\bso (?:many|often|soon)\b(?! as| that)": "how many, this many; say which number",
    r"\blives\b|\blived\b": "runs, serves, is kept; case",
    r"\bno more\b(?! than| of it than)": "no longer, not again",
    r"\b(?:every|no|some)body\b": "name the process or the person; not known, without …",
    r"\bso long\b": "for this long, meanwhile",
    r"\bteeth\b": "tests of the tests",
    r"\btold\b(?! apart)": "hears of it, is notified, is reported",
    r"\bwhoever\b": "name the process or the person",
    r"\b(?:account's|broker's|browser's|Kite|login|warm|expired|HTTP) sessions?\b|\bsessions? (?:of|in) a browser\b"
    r"|\bsessions? (?:has|have|had) (?:expired|ended)\b"
    r"|\brefuse[sd]? (?:the|its) session\b|\bsessions? that have waited\b": (
        "Kite login, access token, connection: a session is a trading day"
    ),
}
GENERATED = {
    "chaos-report.md", "guards-report.md", "neighbours-report.md", "outside-report.md", "scale-report.md", "RESULTS.md"
}  # fmt: skip
"""Written by scripts, whose tables have names of their own."""

HISTORY = "CHANGELOG.md"

NAMES = ("anew", "desk", "desks", "door", "doors", "life", "lived", "lives", "teeth", "whoever")
"""Words that stand in no name either, tests and benchmarks included: execution, link, run, incarnation, case."""


def test_documents_use_plain_words() -> None:
    found = [fault for page in _pages() for fault in _faults(page, _prose(page.read_text(encoding="utf-8")))]
    assert not found, "\n".join(found)


def test_docstrings_and_comments_use_plain_words() -> None:
    modules = [module for folder in (*CODE, "tests", "benchmarks") for module in sorted((ROOT / folder).rglob("*.py"))]
    assert len(modules) > 100
    found = [fault for module in modules for fault in _faults(module, _said(module.read_text(encoding="utf-8")))]
    assert not found, "\n".join(found)


def test_comments_of_the_app_use_plain_words() -> None:
    written = (path for path in sorted(APP.rglob("*")) if path.name != "schema.d.ts")  # which a script makes
    sources = [path for path in written if path.suffix in {".ts", ".svelte", ".css"}]
    assert len(sources) > 80
    found = [fault for path in sources for fault in _faults(path, _commented(path.read_text(encoding="utf-8")))]
    assert not found, "\n".join(found)


def test_no_docstring_only_points_to_another() -> None:
    modules = [module for folder in (*CODE, "tests", "benchmarks") for module in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        f"{module.relative_to(ROOT)}: {line.strip()}"
        for module in modules
        for line in re.findall(r'^ *""\"See `.*$', module.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert not found, "say what it is for, or leave it to the port:\n" + "\n".join(found)


def test_names_are_made_of_plain_words() -> None:
    modules = [module for folder in (*CODE, "tests", "benchmarks") for module in sorted((ROOT / folder).rglob("*.py"))]
    found = {
        f"{module.relative_to(ROOT)}: {name}"
        for module in modules
        for name in (module.stem, *_names(module.read_text(encoding="utf-8")))
        if not set(NAMES).isdisjoint(part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name))
    }
    assert not found, "\n".join(sorted(found))


def test_prose_is_wrapped() -> None:
    # What cannot be wrapped is left out: tables, links, and code in a line.
    found = [
        f"{page.relative_to(ROOT)}:{number}: {len(line)} columns"
        for page in _pages()
        for number, line in _prose(page.read_text(encoding="utf-8"))
        if len(re.sub(r"`[^`]*`", "", line)) > COLUMNS and not line.startswith("|") and "](" not in line
    ]
    assert not found, "\n".join(found)


def test_no_paragraph_stands_in_a_table_cell() -> None:
    found = [
        f"{page.relative_to(ROOT)}:{number}: {len(cell)} characters in a cell"
        for page in _pages()
        for number, line in _prose(page.read_text(encoding="utf-8"))
        if line.startswith("|")
        for cell in re.sub(r"\]\([^)]*\)", "]", line).split(" | ")
        if len(cell) > MOST_OF_A_CELL
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("bad", ["it is sent anew", "Whoever asks", "tried for\never", "its session has expired"])
def test_a_word_to_avoid_is_noticed(bad: str) -> None:
    assert len(list(_faults(ROOT / "page.md", enumerate(bad.splitlines(), 1)))) == 1


@pytest.mark.parametrize("good", ["`the.desk`", "```\nanew\n```", "no more than it holds", "told apart"])
def test_code_and_harmless_turns_pass(good: str) -> None:
    assert list(_faults(ROOT / "page.md", _prose(good))) == []


def _pages() -> list[Path]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 25
    ours = (page for page in pages if "node_modules" not in page.parts)
    return sorted(page for page in ours if page.name not in GENERATED | {HISTORY})


def _prose(page: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(page.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def _said(module: str) -> Iterator[tuple[int, str]]:
    """Every line of a docstring (of constants too) and every comment, but for what the API has published."""
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines = node.value.value.splitlines()
            if not lines[0].strip() or lines[0] not in _published():
                yield from enumerate(lines, node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(module).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _commented(source: str) -> Iterator[tuple[int, str]]:
    """Every line of a comment in TypeScript, Svelte or CSS; the `//` of an address is none."""
    for comment in re.finditer(r"/\*.*?\*/|(?<!:)//[^\n]*|<!--.*?-->", source, re.DOTALL):
        yield from enumerate(comment[0].splitlines(), source.count("\n", 0, comment.start()) + 1)


def _names(module: str) -> Iterator[str]:
    tokens = tokenize.generate_tokens(io.StringIO(module).readline)
    return (token.string for token in tokens if token.type == tokenize.NAME)


@cache
def _published() -> str:
    return (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")


def _faults(where: Path, lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    """Words to avoid outside of backticks and targets of links; a turn may go over the end of a line."""
    numbers: list[int] = []
    text = ""
    for number, line in lines:
        numbers += [number] * (len(line) + 1)
        text += line + "\n"
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", lambda code: "\x00" * len(code[0]), text)
    for word, instead in INSTEAD.items():
        for match in re.finditer(word.replace(" ", r"\s+"), text, re.IGNORECASE):
            yield f"{where.relative_to(ROOT)}:{numbers[match.start()]}: {' '.join(match[0].split())!r}: {instead}"
