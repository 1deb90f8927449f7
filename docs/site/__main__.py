"""Build the site into `.site/html`, strictly: `make docs`, which is `.venv/bin/python -m docs.site`.

A dead link or anchor, a page outside the navigation, or anything that a browser would load from another server ends
the build with exit code 1 and a line for each.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.pages import ROOT, SETTINGS, SiteFault, named_pages, navigation, prepare
from docs.site.rendered import faults

SITE = ROOT / ".site"
DIAGRAMS = SETTINGS.parent / "node_modules" / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js"


def main() -> int:
    """The exit code."""
    try:
        written = write_pages(SITE)
        build(SITE)
        found = list(faults(SITE / "html"))
    except SiteFault as fault:
        found = str(fault).splitlines()
    if found:
        sys.stderr.write("\n".join([*found, f"The documentation has {len(found)} faults.", ""]))
        return 1
    sys.stdout.write(f"{written} pages: {SITE / 'html' / 'index.html'}\n")
    return 0


def write_pages(folder: Path) -> int:
    """Put what the site is built from into the folder; how many pages these are.

    Raises:
        SiteFault: a page has a dead link or is not in the navigation, or what draws the diagrams is not installed.
    """
    if not DIAGRAMS.is_file():
        raise SiteFault("What draws the diagrams is not installed: run “make docs”")
    prepared = prepare(named_pages(navigation()))
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    for place, text in prepared.pages.items():
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        (pages / place).write_text(text, encoding="utf-8")
    for place, path in {**prepared.files, "openapi.json": "docs/openapi.json"}.items():
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, pages / place)
    (pages / "assets").mkdir()
    shutil.copyfile(DIAGRAMS, pages / "assets" / DIAGRAMS.name)
    shutil.copyfile(SETTINGS, folder / SETTINGS.name)
    shutil.copytree(SETTINGS.parent / "overrides", folder / "overrides")
    return len(prepared.pages)


def build(folder: Path) -> None:
    """Let Zensical make the pages of the folder.

    Raises:
        SiteFault: it refuses them; its words, which name the line, have been printed.
    """
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(folder / SETTINGS.name)]
    if subprocess.run(command, cwd=folder, check=False).returncode:  # noqa: S603 - no word of it comes from outside
        raise SiteFault("Zensical refuses a page, see above")


if __name__ == "__main__":
    sys.exit(main())
