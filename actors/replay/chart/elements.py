"""The few elements of SVG that the picture needs, with texts escaped for XML."""

import re
from html import escape

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def written(text: str) -> str:
    """A text as it may stand in XML."""
    return escape(_NOT_IN_XML.sub("\ufffd", text), quote=True)


def line(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A straight line."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def path(css: str, moves: str) -> str:
    """A path, by the commands of its `d`."""
    return f'<path class="{css}" d="{moves}"/>'


def label(css: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    """A text, whose anchor (start, middle or end) is at x, and its baseline at y."""
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{written(text)}</text>'


def triangle(css: str, x: float, y: float, size: float, *, up: bool) -> str:
    """A mark whose tip is at (x, y) and which points up to it, or down to it."""
    base = y + size if up else y - size
    return path(css, f"M{x:.1f} {y:.1f}L{x - size * 0.6:.1f} {base:.1f}H{x + size * 0.6:.1f}Z")
