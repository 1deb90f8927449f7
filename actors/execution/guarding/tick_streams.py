"""Ticks over the WebSockets of accounts: each instrument on one of them, and on another as soon as that one is down.

A connection that is held for an account's order updates costs nothing more, and no process lies between it and its
hearer. All accounts of a broker hear the same prices, so one connection serves the stops of all.
"""

from collections.abc import Callable

from actors.ports.prices import TooManyInstruments

MOST_INSTRUMENTS = 3000
"""How many Kite takes on a connection (kite.md §5.1)."""


class TickStreams:
    """`TickStream` of one broker; connections are named by their account.

    `subscribe(account_id, tokens)` has exactly these sent on the account's stream.
    """

    def __init__(self, subscribe: Callable[[int, frozenset[int]], None], is_up: Callable[[int], bool]) -> None:
        self._subscribe, self._is_up = subscribe, is_up
        self._tokens: dict[int, frozenset[int]] = {}

    def join(self, account_id: int) -> None:
        """The account's stream may be used."""
        self._tokens.setdefault(account_id, frozenset())

    def leave(self, account_id: int) -> None:
        """It is no longer usable, once what comes over it has been asked for elsewhere."""
        if not self._tokens.get(account_id):
            self._tokens.pop(account_id, None)

    def misplaced(self) -> list[int]:
        """Accounts whose stream is down and should carry something, while another one's is up."""
        if not any(map(self._is_up, self._tokens)):
            return []
        return [account_id for account_id, tokens in self._tokens.items() if tokens and not self._is_up(account_id)]

    def subscribe(self, token: int) -> int:
        for account_id, tokens in self._tokens.items():
            if token in tokens:
                return account_id
        free = [account_id for account_id, tokens in self._tokens.items() if len(tokens) < MOST_INSTRUMENTS]
        if not free:
            raise TooManyInstruments("the accounts' streams take no more instruments")
        chosen = next(filter(self._is_up, free), free[0])
        self._set(chosen, self._tokens[chosen] | {token})
        return chosen

    def unsubscribe(self, token: int) -> None:
        for account_id, tokens in list(self._tokens.items()):
            if token in tokens:
                self._set(account_id, tokens - {token})

    def _set(self, account_id: int, tokens: frozenset[int]) -> None:
        self._tokens[account_id] = tokens
        self._subscribe(account_id, tokens)
