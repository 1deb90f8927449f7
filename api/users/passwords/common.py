"""The commonest passwords, which a guesser tries first."""

import gzip
import unicodedata
from functools import cache
from importlib import resources

_LIST = "common-passwords.txt.gz"
_OF_THIS_PRODUCT = frozenset({"tradeactors", "tradeactor", "zerodha", "zerodhakite", "kitezerodha"})
_FEWEST_CHARACTERS = 5
"""How many different characters a password must have: `abababababab` is as easy to guess as `ab`."""


def is_common(password: str) -> bool:
    """Whether a password is one of the 20,000 commonest, in small letters or capitals, of whatever width.

    So is one of digits alone, such as a telephone number, and one of very few different characters.
    """
    text = unicodedata.normalize("NFKC", password).casefold().strip()
    return text.isdecimal() or len(set(text)) < _FEWEST_CHARACTERS or text in _common()


@cache
def _common() -> frozenset[str]:
    packed = resources.files(__package__).joinpath(_LIST).read_bytes()
    return _OF_THIS_PRODUCT | frozenset(gzip.decompress(packed).decode().split())
