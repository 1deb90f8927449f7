"""Requests that may be repeated without being carried out twice: those that carry an Idempotency-Key.

Source of the header: draft-ietf-httpapi-idempotency-key-header. What was done is kept with its answer, in the same
transaction as what was done; an error keeps nothing, since it has done nothing. So there is no record of a request
that is still at work, which a crash could leave behind: its repetition waits for the transaction, if that is open.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import AfterValidator, BaseModel, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncSession

from api.base.errors import InvalidField
from persistence.database.models.kept_answers import KeptAnswer
from persistence.database.repositories.kept_answers import KeptAnswers

IDEMPOTENCY_KEY = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
"""The header of an answer that is given again. The draft names none; others have made this one known."""

_LONGEST = 255


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with a key: the SHA-256 of the key, and of method, path and body."""

    key_hash: bytes = field(repr=False)
    request_hash: bytes


class Repeated(Exception):
    """The request was carried out before, and its answer is given again."""

    def __init__(self, status: int, answer: str) -> None:
        super().__init__(status)
        self.status, self.answer = status, answer


def _check_key(key: str) -> str:
    if not 0 < len(key) <= _LONGEST or not all("!" <= character <= "~" for character in key):
        raise ValueError(f"must have 1 to {_LONGEST} visible characters of ASCII, and no space")
    return key


_Key = Annotated[
    str,
    AfterValidator(_check_key),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _LONGEST, "pattern": "^[!-~]+$"}),
]


async def keyed_request(
    request: Request,
    idempotency_key: Annotated[
        _Key | None,
        Header(
            alias=IDEMPOTENCY_KEY,
            description="A new random text, such as a UUID, for each thing that is wanted. A request that is repeated "
            "with its key within 24 hours is not carried out again: it gets the answer of the first time, with "
            f"`{REPLAYED}: true`.",
            examples=["5d1c4f0e-3d39-4c0a-9d53-1f2d5a0b7c11"],
        ),
    ] = None,
) -> KeyedRequest | None:
    """The key of the request, if it has one.

    Raises:
        InvalidField: 422 if it has two.
    """
    if idempotency_key is None:
        return None
    if len(request.headers.getlist(IDEMPOTENCY_KEY)) > 1:
        raise InvalidField(IDEMPOTENCY_KEY, "stands twice: send it once")
    asked = json.dumps([request.method, request.scope["path"], _as_it_is_meant(await request.body())], sort_keys=True)
    return KeyedRequest(_sha256(idempotency_key), _sha256(asked))


Keyed = Annotated[KeyedRequest | None, Depends(keyed_request)]
"""For routes whose body and answer hold no secret. Declare it after the user: an invalid token is found first."""


async def give_answer_again(session: AsyncSession, user_id: int, keyed: KeyedRequest | None) -> None:
    """Return if the request was not carried out yet.

    Raises:
        Repeated: it was.
        InvalidField: 422 `idempotency_key_reused`: its key belongs to another request.
    """
    kept = await KeptAnswers(session).get(user_id, keyed.key_hash) if keyed is not None else None
    if keyed is not None and kept is not None:
        raise _told_again(kept, keyed)


async def keep_answer(
    session: AsyncSession, user_id: int, keyed: KeyedRequest | None, status: int, answer: BaseModel
) -> None:
    """Keep the answer of what this transaction does. Call it last, in a transaction that also does it.

    Raises:
        Repeated, InvalidField: as `give_answer_again`; then the transaction must be given up.
    """
    if keyed is None:
        return
    answers = KeptAnswers(session)
    while not await answers.add(user_id, keyed.key_hash, keyed.request_hash, status, answer.model_dump_json()):
        await give_answer_again(session, user_id, keyed)  # else it was forgotten in between


def _told_again(kept: KeptAnswer, keyed: KeyedRequest) -> Exception:
    if kept.request_hash == keyed.request_hash:
        return Repeated(kept.status, kept.answer)
    message = "belongs to another request: use a new key for each thing that you want"
    return InvalidField(IDEMPOTENCY_KEY, message, code="idempotency_key_reused")


def _as_it_is_meant(body: bytes) -> Any:
    """The order of its fields and the spaces between them mean nothing."""
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):  # it is refused elsewhere
        return None


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
