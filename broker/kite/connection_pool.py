"""The warm connections of one account, kept alive, each in the hands of one thread at a time.

The one used last is taken first, so that few connections serve the usual load and stay warm by it, while a burst of
orders opens more. Those that were not used for long are closed, not used.
"""

import threading
from collections import deque
from dataclasses import dataclass

from broker.kite.answers.exceptions import AnswerLost
from broker.kite.connection import Answer, Connection, Destination

_MOST_IDLE = 32


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that has left, and whose answer is to be read, in any thread."""

    pool: "ConnectionPool"
    connection: Connection
    rest: bytes

    def finish(self, method: str, deadline: float) -> Answer:
        """The answer; `deadline` is in `time.monotonic()`. Raises AnswerLost."""
        try:
            return self.connection.finish(method, self.rest, deadline)
        finally:
            self.pool.give_back(self.connection)


class ConnectionPool:
    """Safe to use from several threads."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._idle: deque[Connection] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    def exchange(self, method: str, request: bytes, deadline: float, *, oldest: bool = False) -> Answer:
        """One request and its answer, over a warm connection if there is one; never repeated here.

        `deadline` is in `time.monotonic()`; nothing is sent after it. `oldest`: over the connection that has waited
        longest, to keep it alive.

        Raises:
            NeverSent: proven: nothing left us.
            AnswerLost: the request may have arrived.
        """
        connection = self._take(oldest=oldest) or self.destination.connect(deadline)
        try:
            answer = connection.exchange(method, request, deadline)
        finally:
            self.give_back(connection)
        return answer

    def begin(self, request: bytes) -> "Begun | None":
        """Send the request now, in the caller's thread, if a warm connection waits; else None, and nothing is sent.

        Raises:
            AnswerLost: the connection broke; the request may have arrived.
        """
        connection = self._take(oldest=False)
        if connection is None:
            return None
        try:
            return Begun(self, connection, connection.begin(request))
        except AnswerLost:
            self.give_back(connection)
            raise

    def rehearse(self) -> None:
        """Take the connection that `begin` would use, and give it back. It does not count as used."""
        connection = self._take(oldest=False)
        if connection is not None:
            self.give_back(connection)

    def close(self) -> None:
        """Close the connections that wait. Those in use are closed when they come back unusable or grow old."""
        with self._lock:
            idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.close()

    def _take(self, *, oldest: bool) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.popleft() if oldest else self._idle.pop()
            if connection.usable:
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if it is good for none."""
        if not connection.reusable:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)
            surplus = self._idle.popleft() if len(self._idle) > _MOST_IDLE else None
        if surplus is not None:
            surplus.close()
