"""The commonest passwords, which a guesser tries first, also with digits and signs around them."""

import gzip
import re
from functools import cache
from importlib import resources

_LIST = "common-passwords.txt.gz"
_OF_THIS_PRODUCT = frozenset({"tradeactors", "tradeactor", "zerodha", "zerodhakite", "kitezerodha"})
_AROUND = re.compile(r"^[^a-z]+|[^a-z]+$")
_BEHIND = re.compile(r"[^a-z]+$")
_LETTERS = str.maketrans("0134578@$", "oleastbas")
"""What is written for a letter: `p@ssw0rd`. Both 1 and l are read as l."""

_FEWEST_CHARACTERS = 5
"""How many different characters a password must have: `abababababab` is as easy to guess as `ab`."""


def is_common(password: str) -> bool:
    """Whether a password is one of the 20,000 commonest, or one of them with digits or signs before or after it.

    So is one of digits alone, such as a telephone number, and one of very few different characters.
    """
    text = password.casefold().strip()
    inner, headed = _AROUND.sub("", text), _BEHIND.sub("", text)
    words = {text, inner, inner.translate(_LETTERS), headed.translate(_LETTERS)}
    return text.isdecimal() or len(set(text)) < _FEWEST_CHARACTERS or not words.isdisjoint(_common())


@cache
def _common() -> frozenset[str]:
    packed = resources.files(__package__).joinpath(_LIST).read_bytes()
    return _OF_THIS_PRODUCT | frozenset(gzip.decompress(packed).decode().split())
