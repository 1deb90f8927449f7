"""Every citation leads somewhere: what code, tests and documents cite stands in `docs/`."""

import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
CORPUS = ROOT / "tests" / "corpus"
"""Its files are odd on purpose: not all are text."""

MADE_UP = Path(__file__).with_name("test_site.py")
"""Its pages are not those of the repository."""

OF_THE_SITE = {"index.md"}
"""Pages that the site alone has, for README and for folders."""

BUILT = ROOT / "api" / "web" / "dist"
"""The app as browsers load it, made of sources that are read themselves."""

READ = {".py", ".md", ".yaml", ".yml", ".toml", ".mako", ".ts", ".svelte", ".mjs", ".js", ".css", ".html"}
READ_BY_NAME = {"Makefile", "run", "Dockerfile"}

BETWEEN = r"(?:,?\s+(?:#\s+)?(?:and|or|to)\s+|,\s*(?:#\s+)?|\s*[-–/]\s*)"
"""What stands between two of the same kind: `rows H1, H2 and H4`, `mechanisms 4 to 7`, across a line's end too."""

STANDARDS = r"(?:RFC \d+|JSON Schema [\d-]+)\s+§"
OUTSIDE = re.compile(
    r"\bdesign\s+§|\bdesign doc\w*|\breliability\s+(?:findings?\s+\d|[A-Z]\d)|\bcatalogue\s+[A-Z]\d|\braylab\b"
    r"|\btrader-features\b|\bfindings?\s+[\d§]|\b[Cc]ontracts?\s+\d"
    r"|\b(?:the|our) (?:specification|spec) (?:says|asks|wants)\b"
)
"""Papers that are not in the repository."""


def listed(one: str) -> str:
    return rf"({one}(?:{BETWEEN}{one})*)"


def the_row(said: str) -> bool:
    return said.lower() in anchors(DOCS / "requirements.md")


def the_ruling(said: str) -> bool:
    return f"ruling-{said}" in anchors(DOCS / "requirements.md")


def the_check(said: str) -> bool:
    return f"check-{int(said)}" in anchors(DOCS / "requirements.md")


def the_fact(said: str) -> bool:
    return f"s{said.strip('§ ').replace('.', '-')}" in anchors(DOCS / "kite.md")


def the_thread(said: str) -> bool:
    return f"\n[{said}]: " in text_of(DOCS / "kite.md")


def the_mechanism(said: str) -> bool:
    return said in numbered("mechanism")


def the_window(said: str) -> bool:
    return said in numbered("window")


def the_decision(said: str) -> bool:
    return any((DOCS / "decisions").glob(f"{int(said):04}-*.md"))


def the_page(said: str) -> bool:
    return said in OF_THE_SITE | {path.name for path in tracked()}


KINDS: list[tuple[str, str, Callable[[str], bool]]] = [
    (rf"\b[Rr]ows?\s+(?:#\s+)?{listed('[A-Z][1-9][0-9]?')}\b", r"[A-Z]\d+", the_row),
    (rf"\b[Rr]ulings?\s+{listed('[0-9]+')}\b", r"\d+", the_ruling),
    (rf"\b[Cc]hecks?\s+{listed('[0-9]{1,2}')}\b", r"\d+", the_check),
    (r"\bdef test_check_([0-9]+)_", r"\d+", the_check),
    (rf"\bkite\.md\s+{listed('§ ?[0-9]+(?:[.][0-9]+)?')}", r"§ ?\d+(?:\.\d+)?", the_fact),
    (r"(?<![\w/\[`])([cd]/\d{4,6})\b", r"[cd]/\d+", the_thread),
    (rf"\b[Mm]echanisms?\s+{listed('[0-9]+')}\b", r"\d+", the_mechanism),
    (r"\b(W[0-9]{1,2})\b", r"W\d+", the_window),
    (rf"\b[Dd]ecisions?\s+{listed('[0-9]+')}\b", r"\d+", the_decision),
    (r"(?<![\w\"-])([A-Za-z0-9_-]+\.md)\b", r"[\w-]+\.md", the_page),
]


def test_every_citation_leads_somewhere() -> None:
    wrong = [
        fault
        for path in tracked()
        if path not in {Path(__file__), MADE_UP}
        for fault in faults(text_of(path), place(path))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "as row Z9 wants it", "(rows E1, Z9 and E2)", "rows E1 to Z9", "(ruling 99)", "kite.md §9",
        "kite.md §1.1, §1.99", "Kite forum d/999999", "mechanism 99", "mechanisms 1 and 99", "window W99",
        "decision 9999", "read papers.md", "design §4.7", "reliability B31", "reliability findings 8 and 9",
        "catalogue C45", "trader-features F4", "as §3 says", "rows E1,\n    # Z9", "(contract 3.6)",
        "contracts 3 and 4", "check 27 of the app", "checks 5, 6 and 99", "def test_check_27_of_something",
    ],
)  # fmt: skip
def test_a_wrong_citation_is_noticed(wrong: str) -> None:
    found = faults(f"\n{wrong}", "somewhere.py")
    assert found
    assert all(fault.startswith(("somewhere.py:2: ", "somewhere.py:3: ")) for fault in found)


@pytest.mark.parametrize(
    "right",
    [
        "row E4", "rows E2, F1, I1; mechanism 1", "(ruling 8, row G2)", "kite.md §3", "kite.md §7.2 and §7.3",
        "RFC 8259 §6", "mechanisms 4 to 7, ruling 1", "window W1", "decision 19", "docs/order-protocol.md",
        "Kite forum c/41029", "check 3 of the app", "checks 5, 6 and 22", "def test_check_05_of_something",
    ],
)  # fmt: skip
def test_a_right_one_passes(right: str) -> None:
    assert faults(right, "somewhere.py") == []


def test_links_to_a_place_in_a_document_lead_there() -> None:
    broken = [
        f"{place(page)}:{line_of(text_of(page), link.start())}: {link[1]}#{link[2]}"
        for page in documents()
        for link in re.finditer(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)", text_of(page))
        if link[2] not in anchors((page.parent / link[1]).resolve() if link[1] else page)
    ]
    assert not broken, "\n".join(broken)


def test_every_source_of_the_page_on_kite_has_its_address() -> None:
    page = " ".join(text_of(DOCS / "kite.md").split())
    addresses = set(re.findall(r"\[([^\]]+)\]: https://", page))
    assert set(re.findall(r"\[([^\]]+)\](?![:(\[])", page)) - {"docs"} <= addresses


@pytest.mark.parametrize("name", ["api/web/client/src/domain/states.ts", "api/web/client/src/App.svelte", "Makefile"])
def test_the_apps_sources_and_the_makefile_are_read(name: str) -> None:
    assert ROOT / name in tracked()


def test_a_check_of_the_app_names_the_tests_that_hold_it() -> None:
    page, makefile = text_of(DOCS / "requirements.md"), text_of(ROOT / "Makefile")
    checks = re.findall(r'^- <a id="check-(\d+)"></a>(.+?)(?=^- |^## |\Z)', page, re.MULTILINE | re.DOTALL)
    holding = {path: set(map(int, re.findall(r"\bdef test_check_(\d+)_", text_of(path)))) for path in web_tests()}
    wrong: list[str] = []
    for number, said in checks:
        named = {ROOT / name for name in re.findall(r"`(tests/[\w/]+(?:\.py)?)`", said)}
        held = {path for path in holding if int(number) in holding[path]}
        made = [target for target in re.findall(r"`make ([\w-]+)`", said) if f"\n{target}:" in makefile]
        wrong += [f"check {number}: {place(path)} is not there" for path in named if not path.exists()]
        wrong += [f"check {number}: not in {place(path)}" for path in named & (set(holding) - held)]
        wrong += [f"check {number}: no test of its number is named" for _ in held if not held & named]
        if bool(named or made) is ("Not yet a test" in said):
            wrong.append(f"check {number}: either a test holds it, or it says “Not yet a test”")
    assert [int(number) for number, _ in checks] == list(range(1, 27))
    assert wrong == []


def test_every_requirement_is_one_anchor_and_one_sentence_of_its_own() -> None:
    said = re.findall(r'^- <a id="([^"]+)"></a>\*\*(.+?)\*\* ', text_of(DOCS / "requirements.md"), re.MULTILINE)
    assert len(said) == len({anchor for anchor, _ in said}) > 40
    assert [name for anchor, name in said if anchor != name.lower().replace(" ", "-")] == []


def faults(text: str, where: str) -> list[str]:
    """Citations without a target, each with its file and line."""
    found: list[tuple[int, str]] = []
    known: list[tuple[int, int]] = [match.span() for match in re.finditer(STANDARDS, text)]
    for whole, part, exists in KINDS:
        for match in re.finditer(whole, text):
            known.append(match.span())
            parts = re.finditer(part, match[1])
            found += [(match.start(1) + said.start(), said[0]) for said in parts if not exists(said[0])]
    found += [(match.start(), match[0]) for match in OUTSIDE.finditer(text)]
    sections = (match.start() for match in re.finditer("§", text))
    found += [(at, "§ of what?") for at in sections if not any(begin <= at < end for begin, end in known)]
    return [f"{where}:{line_of(text, at)}: {said}" for at, said in sorted(found)]


def web_tests() -> list[Path]:
    """The tests of the app in a browser, which carry the numbers of checks."""
    return [path for path in tracked() if path.name.startswith("test_") and ROOT / "tests" / "web" in path.parents]


def documents() -> Iterator[Path]:
    return (path for path in tracked() if path.suffix == ".md")


@cache
def tracked() -> list[Path]:
    """Files of the repository that may cite something, new ones that are not ignored included."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    paths = (ROOT / name for name in listing.split("\0") if name)
    texts = (path for path in paths if CORPUS not in path.parents or path.suffix == ".py")
    read = (path for path in texts if path.suffix in READ or path.name in READ_BY_NAME)
    found = [path for path in read if BUILT not in path.parents and path.is_file()]
    assert len(found) > 300
    return found


@cache
def anchors(page: Path) -> frozenset[str]:
    """What `#…` may name in a page: its own anchors, and its headings as GitHub names them."""
    if page.suffix != ".md":
        return frozenset()
    text = text_of(page)
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return frozenset({slug(heading) for heading in headings} | set(re.findall(r'<a id="([^"]+)">', text)))


def slug(heading: str) -> str:
    words = re.sub(r"<[^>]+>", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


@cache
def numbered(kind: str) -> frozenset[str]:
    """The numbers that head the rows, items or sections of the order protocol's part about mechanisms, or windows."""
    parts = re.split(r"^## ", text_of(DOCS / "order-protocol.md"), flags=re.MULTILINE)
    part = next(part for part in parts if kind in part.split("\n", 1)[0])
    numbers = re.findall(
        rf'^[\s|#*-]*(?:<a id="[^"]*"></a>)?\W*(?:{kind} )?(W?\d+)\b', part, re.MULTILINE | re.IGNORECASE
    )
    assert len(numbers) > 9
    return frozenset(numbers)


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
