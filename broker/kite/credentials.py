"""What a user's login at Kite has given: the key of every call."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from broker.proxy import Proxy
from config.files import refusal_of

_WORD = re.compile(r"[!-~]([ -~]{0,254}[!-~])?")
_FORM = 'is not UTF-8 of the form {"api_key": "…", "access_token": "…"}; write it so'


class UnusableCredentials(Exception):
    """A file of credentials cannot be used; the text is the end of a sentence, without what the file holds."""


@dataclass(frozen=True, slots=True)
class KiteCredentials:
    """What a request to the broker needs, and the proxy that it goes through, if there is one."""

    api_key: str = field(repr=False)
    access_token: str = field(repr=False)
    proxy: Proxy | None = None


def credentials_of_file(path: Path) -> KiteCredentials:
    """What the operator has written into FEED_CREDENTIALS_FILE: `{"api_key": "…", "access_token": "…"}`.

    Raises:
        UnusableCredentials: it cannot be read, is something else, or one of the two is empty or not ASCII.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editors begin a file with the mark
        words = [written[name].strip() for name in ("api_key", "access_token")]
    except OSError as refused:
        raise UnusableCredentials(f"cannot be read: {refusal_of(refused)}") from refused
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as other:
        raise UnusableCredentials(_FORM) from other
    if not all(map(_WORD.fullmatch, words)):
        raise UnusableCredentials("has an empty api_key or access_token, or one that is not ASCII; write Kite's own")
    return KiteCredentials(*words)
