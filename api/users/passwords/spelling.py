"""One spelling for passwords that look the same, and how many characters a person sees in one."""

import unicodedata
from collections.abc import Iterator

MOST_CODE_POINTS = 1024
"""How many code points a password may have, whatever a person sees: composing them takes time that grows with the
square of their number."""

_PRESENTATIONS = frozenset("\ufe0e\ufe0f")
_ZERO_WIDTH_JOINER = "\u200d"
_INVISIBLE = frozenset({"Cc", "Cf", "Me", "Mn", "Mc"})
"""Unicode's categories of what is drawn into the character before it (accents, vowel signs) or not at all."""
_SKIN_TONES = frozenset("\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")


def prepared(password: str) -> str:
    """A password as it is hashed: any space is the common one, and accents are composed (RFC 8265 §4.2.2: NFC).

    What says in which of two pictures an emoji is drawn is left out: one keyboard writes it behind a heart, another one
    does not (Unicode Technical Standard 51, emoji and text presentation).
    NFC and not NFKC, which NIST SP 800-63B allows too: NFKC makes different characters equal (`²` and `2`), and what is
    stored already was hashed in NFC. RFC 8265 refuses controls and what is not assigned; passwords that were taken
    here hold them, so they stay as they are.
    """
    return _composed("".join(character for character in password if character not in _PRESENTATIONS))


def spellings(password: str) -> Iterator[str]:
    """What a stored hash may have been made of: as it is prepared today, as it once was, and as it was typed."""
    before = _composed(password), unicodedata.normalize("NFC", password)
    yield from dict.fromkeys((prepared(password), *before, password))


def _composed(password: str) -> str:
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced)


def seen_characters(password: str) -> int:
    """How many characters a person sees: a letter with its accents and vowel signs is one, a joined emoji too."""
    count, joined = 0, False
    for character in unicodedata.normalize("NFC", password):
        drawn = unicodedata.category(character) not in _INVISIBLE and character not in _SKIN_TONES
        count += drawn and not joined
        joined = character == _ZERO_WIDTH_JOINER
    return count
