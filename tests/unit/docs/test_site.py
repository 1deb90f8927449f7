"""The documentation site: which pages it has, where their links lead, and what a built one may not contain."""

from pathlib import Path

import pytest

from docs.site.dialect import as_python_reads
from docs.site.fields import fields_page
from docs.site.pages import (
    SiteFault,
    differences,
    named_pages,
    navigation,
    page_places,
    prepare,
    tracked,
    with_links_of_the_site,
)
from docs.site.rendered import faults

PLACES = {"README.md": "index.md", "docs/api.md": "api.md", "docs/decisions/1.md": "decisions/1.md"}
KNOWN = frozenset({*PLACES, "docs/pictures/top.svg", "LICENSE", "ray_cluster.yaml"})


def test_the_pages_are_those_of_the_navigation_and_their_links_lead_somewhere() -> None:
    prepared = prepare(named_pages(navigation()))
    assert set(page_places(tracked()).values()) < prepared.pages.keys()
    assert {"api-fields.md", "decisions/index.md", "monitoring/index.md"} < prepared.pages.keys()


def test_the_navigation_has_a_part_for_each_kind_of_reader() -> None:
    first, *parts = navigation()
    assert [*first.values()] == ["index.md"]
    assert [name for part in parts for name in part] == [
        "For traders", "For app developers", "For operators", "For contributors",
    ]  # fmt: skip
    assert all(list(named_pages(part)) for part in parts)


@pytest.mark.parametrize(
    ("source", "link", "leads_to"),
    [
        ("README.md", "docs/api.md", "api.md"),
        ("README.md", "docs/api.md#errors", "api.md#errors"),
        ("README.md", "LICENSE", "files/LICENSE.txt"),
        ("docs/api.md", "../README.md", "index.md"),
        ("docs/api.md", "pictures/top.svg", "pictures/top.svg"),
        ("docs/api.md", "../ray_cluster.yaml", "files/ray_cluster.yaml"),
        ("docs/api.md", "decisions/", "decisions/index.md"),
        ("docs/decisions/1.md", "../api.md#x", "../api.md#x"),
        ("docs/decisions/1.md", "../../README.md", "../index.md"),
        ("docs/api.md", "#errors", "#errors"),
        ("docs/api.md", "https://toml.io", "https://toml.io"),
        ("docs/api.md", "mailto:a@example.com", "mailto:a@example.com"),
    ],
)
def test_a_link_of_the_repository_leads_within_the_site(source: str, link: str, leads_to: str) -> None:
    page = f"# A page\n\nRead [`this`, please]({link}) now."
    assert with_links_of_the_site(page, source, PLACES, KNOWN, {}) == (page.replace(link, leads_to), [])


@pytest.mark.parametrize("link", ["gone.md", "gone.md#x", "../../outside", "pictures/gone.svg"])
def test_a_dead_link_is_named_with_its_line(link: str) -> None:
    assert with_links_of_the_site(f"\n[x]({link})", "docs/api.md", PLACES, KNOWN, {})[1] == [
        f"docs/api.md:2: {link} leads nowhere"
    ]


@pytest.mark.parametrize("code", ["`[x](gone.md)`", "```\n[x](gone.md)\n```", "   ```sh\n   [x](gone.md)\n   ```"])
def test_what_looks_like_a_link_in_code_stays(code: str) -> None:
    assert with_links_of_the_site(code, "docs/api.md", PLACES, KNOWN, {}) == (code, [])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("- a\n  b\n- c", "- a\n    b\n- c"),
        ("- a\n  - b\n    - c\n- d", "- a\n    - b\n        - c\n- d"),
        ("1. a\n\n   ```sh\n   b\n     c\n   ```\n2. d", "1. a\n\n    ```sh\n    b\n      c\n    ```\n2. d"),
        ("- a\n\ntext\n  more", "- a\n\ntext\n  more"),
        ("```yaml\n- a\n  - b\n```\n- c\n  d", "```yaml\n- a\n  - b\n```\n- c\n    d"),
        ("````md\n```\n- a\n  b\n````", "````md\n```\n- a\n  b\n````"),
        ("| `a \\| b` | c \\| d |", "| `a | b` | c \\| d |"),
        ("not a row: `a \\| b`", "not a row: `a \\| b`"),
    ],
)
def test_what_github_reads_is_written_as_python_reads_it(written: str, read: str) -> None:
    assert as_python_reads(written) == read


def test_files_that_are_linked_to_come_with_the_site() -> None:
    files: dict[str, str] = {}
    with_links_of_the_site("[x](pictures/top.svg) [y](../LICENSE)", "docs/api.md", PLACES, KNOWN, files)
    assert files == {"pictures/top.svg": "docs/pictures/top.svg", "files/LICENSE.txt": "LICENSE"}


def test_pages_and_navigation_that_differ_are_named() -> None:
    found = differences({"a.md": "", "b.md": ""}, iter(["a.md", "a.md", "c.md"]))
    assert sorted(found) == [
        "b.md: not in the navigation of docs/site/zensical.toml",
        "docs/site/zensical.toml: a.md is named twice",
        "docs/site/zensical.toml: there is no page c.md",
    ]


def test_a_page_that_the_navigation_lacks_ends_the_build() -> None:
    with pytest.raises(SiteFault, match=r"\Aoperations\.md: not in the navigation of docs/site/zensical\.toml\Z"):
        prepare(page for page in named_pages(navigation()) if page != "operations.md")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<script src="https://unpkg.com/x.js"></script>', "loads https://unpkg.com/x.js from another server"),
        ('<link rel="stylesheet" href="//fonts.example/x.css">', "loads //fonts.example/x.css from another server"),
        ('<style>@font-face{src:url("https://x.example/f")}</style>', "loads https://x.example/f from another server"),
        ('<p style="background:url(http://x.example/p)">', "loads http://x.example/p from another server"),
        ('<a href="gone.html">x</a>', "gone.html leads nowhere"),
        ('<img src="gone.png">', "gone.png leads nowhere"),
        ('<a href="../../etc/passwd">x</a>', "../../etc/passwd leads nowhere"),
        ('<a href="#gone">x</a>', "#gone names a place that the page does not have"),
        ('<a href="other.html#gone">x</a>', "other.html#gone names a place that the page does not have"),
    ],
)
def test_a_fault_of_a_built_site_is_named(tmp_path: Path, body: str, fault: str) -> None:
    (tmp_path / "other.html").write_text("<h1 id='here'>Other</h1>", encoding="utf-8")
    (tmp_path / "page.html").write_text(body, encoding="utf-8")
    assert list(faults(tmp_path)) == [f"page.html: {fault}"]


def test_a_sound_site_has_no_fault(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text("<h1 id='wo-ä'>Other</h1>", encoding="utf-8")
    (tmp_path / "look.css").write_text("a{background:url(data:image/png;base64,AA)}", encoding="utf-8")
    (tmp_path / "page.html").write_text(
        '<link rel="stylesheet" href="look.css"><link rel="canonical" href="https://docs.example/page.html">'
        '<a href="other.html#wo-%C3%A4">x</a><a href="https://toml.io">y</a><a href="/other.html">z</a>',
        encoding="utf-8",
    )
    assert list(faults(tmp_path)) == []


def test_styles_load_nothing_from_another_server(tmp_path: Path) -> None:
    (tmp_path / "look.css").write_text("@import 'https://fonts.example/x.css';", encoding="utf-8")
    assert list(faults(tmp_path)) == ["look.css: loads https://fonts.example/x.css"]


def test_the_page_of_fields_has_every_call_and_every_field() -> None:
    page = fields_page(
        '{"paths": {"/things/{id}": {"post": {"description": "Make a <thing>.", "parameters": [{"name": "id", "in":'
        ' "path", "required": true, "schema": {"type": "integer"}}], "requestBody": {"content": {"application/json":'
        ' {"schema": {"$ref": "#/components/schemas/Thing"}}}}, "responses": {"204": {"description": "Done"}}}}},'
        ' "components": {"schemas": {"Thing": {"required": ["name"], "properties": {"name": {"type": "string",'
        ' "maxLength": 5}, "kind": {"anyOf": [{"enum": ["a|b"]}, {"type": "null"}], "default": null}}}}}}'
    )
    for line in (
        "### `POST /things/{id}`",
        "Make a &lt;thing>.",
        "| `id` | path | integer |  |",
        "| body | [`Thing`](#Thing) | `application/json` |",
        "| 204 |  | Done |",
        '### <a id="Thing"></a>`Thing`',
        "| `name` | string | characters at most `5` |",
        '| `kind` | `"a\\|b"` or null | may be left out: `null` |',
    ):
        assert line in page.splitlines()
