"""What the watcher of an account says to people: a stable code, and a sentence that says what to do."""

from datetime import timedelta

from actors.domain.orders.cover import name_of
from actors.execution.watching import audit
from actors.execution.watching.audit import Finding

SHORT_TOLD_EVERY = timedelta(minutes=10)
"""How often a short is reported again, until it is gone."""


def is_due_again(finding: Finding, since: timedelta) -> bool:
    """Whether a finding that lasts, and was reported this long ago, is to be reported again."""
    return isinstance(finding, audit.PositionShort) and since >= SHORT_TOLD_EVERY


def alert_of(finding: Finding) -> tuple[str, str]:
    """The code and the sentence of a finding."""
    match finding:
        case audit.DuplicateOrders(tag=tag, order_ids=order_ids):
            return "duplicate_order", f"tag {tag} has more than one order: {', '.join(order_ids)}"
        case audit.ClosedOutside(reason=reason):
            return "position_gone", f"The shares of the strategy are gone, though it did not sell them: {reason}"
        case audit.SharesMissing(covered=covered, staked=staked, key=key, reason=reason):
            return "shares_missing", f"Of {staked} {name_of(key)} bought by strategies {covered} are left: {reason}"
        case audit.ExitUncovered(key=key, reason=reason):
            return "exit_uncovered", f"An exit of {name_of(key)} would sell more than is left of its strategy: {reason}"
        case audit.SaleByHandWaits():
            return "sale_by_hand_waits", _sale_by_hand(finding)
        case audit.PositionShort():
            return "position_short", _short(finding)
        case audit.UnguardedPosition(quantity=quantity, key=key):
            return "unguarded_position", f"{quantity} {name_of(key)} are held and no strategy guards them"


def _sale_by_hand(found: audit.SaleByHandWaits) -> str:
    waits = f"A sell order of your own for {found.quantity} {name_of(found.key)} waits."
    return f"{waits} When the strategy has sold, it would open a short: cancel one of the two"


def _short(found: audit.PositionShort) -> str:
    owed, (_, symbol, product) = -found.held, found.key
    at = f" at about ₹{found.last_price}" if found.last_price is not None else ""
    short = f"The account is short of {owed} {name_of(found.key)}."
    return (
        f"{short} Unless you mean it to be, buy {owed} {symbol} as {product}{at}, before the broker does at any price"
    )
