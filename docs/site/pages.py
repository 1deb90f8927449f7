"""The pages of the site: those that GitHub shows, with links that lead within the site, and a few that are made here.

The pages stay as they are in the repository. `zensical.toml` beside this file names each of them in the navigation.
"""

import posixpath
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docs.site.dialect import as_python_reads
from docs.site.fields import fields_page

ROOT = Path(__file__).parents[2]
SETTINGS = Path(__file__).parent / "zensical.toml"

FROM_ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "results.md",
}
"""Pages that do not stand in `docs/`, and their places in the site."""

FOLDERS = {
    "docs/decisions": ("decisions/index.md", "Decisions", "Why it is built like this, a page for each decision."),
    "docs/monitoring": (
        "monitoring/index.md",
        "Prometheus and Grafana",
        "Scrape configurations, alert rules and dashboards; [how to use them](../operations.md#prometheus-and-grafana)",
    ),
}
"""Folders that pages link to. GitHub lists their files; the site has a page that does."""

FIELDS = "api-fields.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^( *)```.*?^\1```|`[^`\n]*`|<!--.*?-->", re.MULTILINE | re.DOTALL)
OF_ANOTHER_SITE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


class SiteFault(Exception):
    """A page of the repository cannot be shown as it is: a dead link, or a page outside the navigation."""


@dataclass(slots=True)
class Prepared:
    """What the site is built from: pages by their place in it, and the files that they link to."""

    pages: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """Place in the site, and path in the repository."""


def prepare(named: Iterable[str]) -> Prepared:
    """Every page of the site; `named`: those of the navigation.

    Raises:
        SiteFault: a link leads nowhere, or pages and navigation differ; the message names each place.
    """
    known = tracked()
    places = page_places(known)
    prepared = Prepared()
    faults: list[str] = []
    for source, place in places.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        shown, found = with_links_of_the_site(text, source, places, known, prepared.files)
        prepared.pages[place] = as_python_reads(shown)
        faults += found
    for folder, (place, title, about) in FOLDERS.items():
        inside = [path for path in known if path.startswith(f"{folder}/")]
        prepared.pages[place] = folder_page(folder, title, about, inside, places, prepared.files)
    fields = fields_page((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    prepared.pages[FIELDS] = as_python_reads(fields)
    faults += differences(prepared.pages, named)
    if faults:
        raise SiteFault("\n".join(faults))
    return prepared


def tracked() -> frozenset[str]:
    """Paths of the repository, with new ones that are not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    return frozenset(path for path in listing.split("\0") if path and (ROOT / path).is_file())


def page_places(known: frozenset[str]) -> dict[str, str]:
    """Every page of the repository that people read, and its place in the site."""
    in_docs = {path: path.removeprefix("docs/") for path in known if path.startswith("docs/") and path.endswith(".md")}
    return dict(sorted({**in_docs, **FROM_ELSEWHERE}.items()))


def with_links_of_the_site(
    text: str, source: str, places: Mapping[str, str], known: frozenset[str], files: dict[str, str]
) -> tuple[str, list[str]]:
    """A page whose links lead within the site, and the links that lead nowhere. `files` gets what it links to."""
    faults: list[str] = []
    parts: list[str] = []
    last = 0
    for link in _links(text):
        target, hash_sign, anchor = link[1].partition("#")
        if OF_ANOTHER_SITE.match(link[1]) or not target:
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = _place(path, places, known, files)
        if place is None:
            faults.append(f"{source}:{text.count(chr(10), 0, link.start()) + 1}: {link[1]} leads nowhere")
            continue
        relative = posixpath.relpath(place, posixpath.dirname(places[source]) or ".")
        parts += [text[last : link.start(1)], relative, hash_sign, anchor]
        last = link.end(1)
    return "".join([*parts, text[last:]]), faults


def folder_page(
    folder: str, title: str, about: str, inside: list[str], places: Mapping[str, str], files: dict[str, str]
) -> str:
    """A page that lists the files of a folder, pages by their titles."""
    lines = [f"# {title}", "", about, ""]
    for path in sorted(inside):
        name = path.removeprefix(f"{folder}/")
        if path in places:
            lines.append(f"- [{_title(path)}]({name})")
        else:
            files[path.removeprefix("docs/")] = path
            lines.append(f"- [`{name}`]({name})")
    return "\n".join([*lines, ""])


def navigation() -> list[Any]:
    """The navigation of the settings: pages, and parts with a name."""
    found: list[Any] = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["project"]["nav"]
    return found


def named_pages(part: Any) -> Iterator[str]:
    """The pages of a part of the navigation, in its order."""
    if isinstance(part, str):
        yield part
    else:
        for inner in part.values() if isinstance(part, dict) else part:
            yield from named_pages(inner)


def differences(pages: Mapping[str, str], named: Iterable[str]) -> list[str]:
    """Pages outside the navigation, names without a page, and pages that are named twice."""
    listed = list(named)
    return [
        *(f"{page}: not in the navigation of docs/site/zensical.toml" for page in pages if page not in listed),
        *(f"docs/site/zensical.toml: there is no page {page}" for page in listed if page not in pages),
        *(f"docs/site/zensical.toml: {page} is named twice" for page in set(listed) if listed.count(page) > 1),
    ]


def _links(text: str) -> Iterator[re.Match[str]]:
    return LINK.finditer(CODE.sub(lambda code: "\x00" * len(code[0]), text))


def _place(path: str, places: Mapping[str, str], known: frozenset[str], files: dict[str, str]) -> str | None:
    if path in places:
        return places[path]
    if path in FOLDERS:
        return FOLDERS[path][0]
    if path not in known:
        return None
    place = path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"
    if not posixpath.splitext(place)[1]:
        place += ".txt"  # a browser would not show it
    files[place] = path
    return place


def _title(path: str) -> str:
    heading = re.search(r"^# (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1] if heading else path
