"""Which troubles of an account were reported, and since when each is gone: it is called over after `CALM`, once.

A watcher that starts does not know what an earlier one has reported. So it begins with all that it may have: the
ledger knows which of them is open.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from actors.domain.orders.cover import PositionKey
from actors.domain.orders.partly_read import is_unread
from actors.execution.watching import audit
from actors.execution.watching.audit import Account, Finding
from actors.ports.common import CALM
from actors.ports.execution import AttemptLog

OF_HOLDERS = ("shares_missing", "sale_by_hand_waits", "account_unreadable")
"""About a strategy that holds something: of one that does not, nothing is known."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an alert is about. The strategy is one of those that it concerns."""

    user_id: int
    code: str
    about: str
    strategy_id: int = field(compare=False)


def of_position(account_id: int, key: PositionKey) -> str:
    """The name of a position: more than one strategy may trade it."""
    return ":".join(("position", str(account_id), *map(str, key)))


def about_of(account_id: int, finding: Finding) -> str:
    """What a finding is about, as its alert names it."""
    match finding:
        case audit.DuplicateOrders(tag=tag):
            return f"tag:{tag}"
        case audit.PositionShort(key=key):
            return of_position(account_id, key)
    return f"strategy:{finding.strategy_id}"


def judged(account_id: int, account: Account) -> set[Trouble]:
    """Every trouble that a look at the account would have found: what it has not found is not there."""
    found = set()
    for holding in account.holdings:
        # of one that sells, or has just bought or sold, lacking shares are no finding
        moves = holding.exiting or holding.run_id in account.working or holding.key in account.unsettled
        codes = (code for code in OF_HOLDERS if code != "shares_missing" or not moves)
        owner, strategy_id = holding.user_id, holding.strategy_id
        found |= {Trouble(owner, code, f"strategy:{strategy_id}", strategy_id) for code in codes}
    for intent in account.known:
        owner, strategy_id = intent.user_id, intent.strategy_id
        if intent.run_id not in account.working:
            found.add(Trouble(owner, "unguarded_position", f"strategy:{strategy_id}", strategy_id))
        if not is_unread(account.positions, intent.key):
            found.add(Trouble(owner, "position_short", of_position(account_id, intent.key), strategy_id))
    return found


class Troubles:
    """The troubles of one account; instants are monotonic seconds."""

    def __init__(self, attempts: AttemptLog) -> None:
        self._attempts = attempts
        self._gone_since: dict[Trouble, float | None] = {}
        self._met: set[Trouble] = set()

    def reported(self, trouble: Trouble) -> None:
        """An alert of it has gone out."""
        self._met.add(trouble)
        self._gone_since[trouble] = None

    def cannot_look(self) -> None:
        """The account cannot be read: nothing is known to be gone."""
        self._gone_since = dict.fromkeys(self._gone_since)

    def looked(self, judged: Collection[Trouble], present: Collection[Trouble], now: float) -> None:
        """A look has judged these, and found those of them that are present."""
        for trouble in judged:
            if trouble not in self._met:
                self._met.add(trouble)
                self._gone_since[trouble] = None
        over = []
        for trouble, since in self._gone_since.items():
            gone = trouble in judged and trouble not in present
            self._gone_since[trouble] = (now if since is None else since) if gone else None
            if gone and since is not None and now - since >= CALM.total_seconds():
                over.append(trouble)
        self._call_over(over)

    def _call_over(self, over: Iterable[Trouble]) -> None:
        together: dict[tuple[int, int, str], list[str]] = {}
        for trouble in over:
            del self._gone_since[trouble]
            codes = together.setdefault((trouble.user_id, trouble.strategy_id, trouble.about), [])
            codes.append(trouble.code)
        for (user_id, strategy_id, about), codes in together.items():
            self._attempts.alert_over(user_id, strategy_id, sorted(codes), about)
