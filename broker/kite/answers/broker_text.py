"""What a broker writes, before anything of ours stores, shows or logs it: cleaned and cut here and nowhere else.

A broker's text is not trusted. A NUL or half a surrogate pair is refused by PostgreSQL, a line break or an
escape sequence forges a line of the log, a bidirectional control turns a sentence round on the trader's screen.
"""

import re

LONGEST_TEXT = 300
"""Characters of a sentence, the ellipsis included. Kite's longest refusals have some 200."""

LONGEST_WORD = 64
"""Characters of an order id, a tag or a name. Kite's order ids have 19, its tags 20, its symbols up to 30."""

_ELLIPSIS = "…"
_NOT_PRINTABLE_ASCII = re.compile(r"[^!-~]+")


def clean_text(said: object, longest: int = LONGEST_TEXT) -> str:
    """A sentence of the broker on one line, with nothing in it that is no text; nothing said is the empty text."""
    if said is None:
        return ""
    text = said if isinstance(said, str) else str(said)
    # what would be cut anyway is not looked at: a hostile text may have megabytes
    text = text[: 4 * longest]
    if not text.isprintable():  # controls, bidirectional and other formats, surrogates, line and paragraph separators
        text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + _ELLIPSIS


def clean_word(said: object) -> str:
    """A tag, a status or a product with what is not printable ASCII taken out; empty if it is no text at all."""
    if not isinstance(said, str):
        return ""
    return _NOT_PRINTABLE_ASCII.sub("", said[: 4 * LONGEST_WORD])[:LONGEST_WORD]


def clean_status(said: object) -> str:
    """A status, which may have several words."""
    return " ".join(clean_word(word) for word in said[:LONGEST_WORD].split()) if isinstance(said, str) else ""


def order_id_of(said: object) -> str:
    """An order id as it is: one that was mended could name another order.

    Raises:
        ValueError: for anything but up to `LONGEST_WORD` printable characters of ASCII, or a whole number.
    """
    word = str(said) if isinstance(said, str | int) and not isinstance(said, bool) else ""
    if not word or len(word) > LONGEST_WORD or _NOT_PRINTABLE_ASCII.search(word):
        raise ValueError("an order without an id, or with an id that is none")
    return word
