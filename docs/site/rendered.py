"""What a built site must keep to: each link leads somewhere in it, and a browser loads nothing from another server."""

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {
    "script": ("src",), "img": ("src", "srcset"), "iframe": ("src",), "embed": ("src",), "source": ("src", "srcset"),
    "video": ("src", "poster"), "audio": ("src",), "track": ("src",), "object": ("data",), "input": ("src",),
    "use": ("href", "xlink:href"), "image": ("href", "xlink:href"),
}  # fmt: skip
"""Attributes whose address a browser asks for by itself."""

LOADING_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "manifest"}
FOREIGN = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
OF_STYLES = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])([^'\")]+)", re.IGNORECASE)


class Page(HTMLParser):
    """The addresses of a page: those a reader may follow, those a browser loads, and the places that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.followed: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self._in_style = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        said = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.places |= {said[name] for name in ("id", "name") if name in said}
        self.loaded += [said[name] for name in LOADING.get(tag, ()) if name in said]
        self.loaded += OF_STYLES.findall(said.get("style", ""))
        if tag == "a" and "href" in said:
            self.followed.append(said["href"])
        if tag == "link" and LOADING_LINKS & set(said.get("rel", "").split()):
            self.loaded.append(said.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        """The end of an element."""
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        """Text, which in a style may name addresses."""
        if self._in_style:
            self.loaded += OF_STYLES.findall(data)


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the built site in this folder, a sentence each."""
    read = cache(lambda path: Page(path.read_text(encoding="utf-8")))
    for path in sorted(site.rglob("*.html")):
        page = read(path)
        name = path.relative_to(site)
        yield from (f"{name}: loads {address} from another server" for address in page.loaded if FOREIGN.match(address))
        for address in dict.fromkeys([*page.followed, *page.loaded]):
            where = urlsplit(address)
            if where.scheme or where.netloc or address in {"", "#"}:
                continue
            target = _file(site, path, unquote(where.path))
            if target is None:
                yield f"{name}: {address} leads nowhere"
            elif where.fragment and target.suffix == ".html" and unquote(where.fragment) not in read(target).places:
                yield f"{name}: {address} names a place that the page does not have"
    for path in sorted(site.rglob("*.css")):
        loaded = OF_STYLES.findall(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)}: loads {one}" for one in loaded if FOREIGN.match(one))


def _file(site: Path, page: Path, path: str) -> Path | None:
    if not path:
        return page
    target = (site / path.lstrip("/") if path.startswith("/") else page.parent / path).resolve()
    if target.is_dir():
        target /= "index.html"
    return target if target.is_file() and target.is_relative_to(site.resolve()) else None
