"""Ticks over the WebSockets of accounts: each instrument on one of them, and on another as soon as that one is down.

A connection that is held for an account's order updates costs nothing more, and no process lies between it and its
hearer. All accounts of a broker hear the same prices, so one connection serves the stops of all.
"""

from collections.abc import Callable

from actors.ports.prices import TooManyInstruments

MOST_INSTRUMENTS = 3000
"""How many Kite takes on a connection (kite.md §5.1)."""

MUTE_AFTER_S = 2.0
"""Kite repeats the last price at each subscribe (forum c/34446), so a stream that has brought none by then has no
market data, as it is with accounts whose plan has none (kite.md §1)."""

_DOWN, _MUTE, _UNTRIED, _BRINGS = range(4)
"""What a stream is worth."""


class TickStreams:
    """`TickStream` of one broker; connections are named by their account.

    `subscribe(account_id, tokens)` has exactly these sent on the account's stream. `monotonic` is a clock, in seconds.
    """

    def __init__(
        self,
        subscribe: Callable[[int, frozenset[int]], None],
        is_up: Callable[[int], bool],
        monotonic: Callable[[], float],
    ) -> None:
        self._subscribe, self._is_up, self._monotonic = subscribe, is_up, monotonic
        self._tokens: dict[int, frozenset[int]] = {}
        self._asked_at: dict[int, float] = {}
        self._brings: set[int] = set()
        self._mute: set[int] = set()

    def join(self, account_id: int) -> None:
        """The account's stream may be used."""
        self._tokens.setdefault(account_id, frozenset())

    def leave(self, account_id: int) -> None:
        """It is no longer usable, once what comes over it has been asked for elsewhere."""
        if not self._tokens.get(account_id):
            self._tokens.pop(account_id, None)
            self._mute.discard(account_id)

    def came_up(self, account_id: int) -> None:
        """The account's stream has (re)connected, perhaps by another plan: whether it brings ticks is to be seen."""
        self._brings.discard(account_id)
        self._mute.discard(account_id)
        self._asked_at[account_id] = self._monotonic()

    def brought(self, account_id: int) -> None:
        """A tick has come over it."""
        self._brings.add(account_id)
        self._mute.discard(account_id)

    def misplaced(self) -> list[int]:
        """Accounts whose stream should carry something, and is down or mute, while there is a better one."""
        self._mute.update(account_id for account_id in self._tokens if self._is_silent(account_id))
        best = min(max(map(self._worth, self._with_room()), default=_DOWN), _UNTRIED)
        return [account_id for account_id, tokens in self._tokens.items() if tokens and self._worth(account_id) < best]

    def subscribe(self, token: int) -> int:
        for account_id, tokens in self._tokens.items():
            if token in tokens:
                return account_id
        chosen = max(self._with_room(), key=self._worth, default=None)
        if chosen is None:
            raise TooManyInstruments("the accounts' streams take no more instruments")
        self._set(chosen, self._tokens[chosen] | {token})
        return chosen

    def unsubscribe(self, token: int) -> None:
        for account_id, tokens in list(self._tokens.items()):
            if token in tokens:
                self._set(account_id, tokens - {token})

    def _with_room(self) -> list[int]:
        return [account_id for account_id, tokens in self._tokens.items() if len(tokens) < MOST_INSTRUMENTS]

    def _worth(self, account_id: int) -> int:
        if not self._is_up(account_id):
            return _DOWN
        if account_id in self._mute:
            return _MUTE
        return _BRINGS if account_id in self._brings else _UNTRIED

    def _is_silent(self, account_id: int) -> bool:
        if not self._tokens[account_id] or not self._is_up(account_id) or account_id in self._brings:
            return False
        return self._monotonic() - self._asked_at[account_id] >= MUTE_AFTER_S

    def _set(self, account_id: int, tokens: frozenset[int]) -> None:
        if not self._tokens[account_id]:
            self._asked_at[account_id] = self._monotonic()
        self._tokens[account_id] = tokens
        self._subscribe(account_id, tokens)
