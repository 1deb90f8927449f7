"""The mechanisms that only what happens outside puts to the test, each with the change that takes it away."""

from tests.chaos.mutations import Edit, Mutation

_PLACER, _AUDIT, _EVIDENCE = (
    "actors/execution/orders/placer.py",
    "actors/execution/watching/audit.py",
    "actors/execution/account/position_evidence.py",
)
_CHASE, _COVER = "actors/execution/orders/exit_chase.py", "actors/domain/orders/cover.py"
_STOP_LOSS = "actors/domain/prices/stop_loss.py"
_TICK_FILTER = "actors/domain/prices/tick_filter.py"
_SOLD_AT_ALL = ("short", "foreign")

OUTSIDE_MUTATIONS = (
    Mutation(
        "the question before an exit",
        (Edit(_PLACER, "        if check or not self.evidence.proves(command):\n", "        if False:\n"),),
        ("guarding: sold by hand", "guarding: squared off by the broker"),
        _SOLD_AT_ALL,
    ),
    Mutation(
        "sales by hand count against the run",
        (
            Edit(
                _COVER,
                "    sold_outside = max(0, min(lost - absorbed, staked))\n",
                "    sold_outside = min(0, lost - absorbed)\n",
            ),
        ),
        ("guarding: older shares of his own sold",),
        ("foreign",),
    ),
    Mutation(
        "the recall of an exit in work",
        (Edit(_AUDIT, "        *_uncovered(account),\n", ""),),
        ("exit sent: sold by hand",),
        _SOLD_AT_ALL,
    ),
    Mutation(
        "evidence before the first exit after a recovery",
        (
            Edit("actors/domain/strategy/recovery.py", "ask_first=not event.first)", "ask_first=False)"),
            Edit(
                _EVIDENCE,
                "or cover.lacking:\n            return False\n",
                "or cover.lacking:\n            return True\n",
            ),
        ),
        ("guarding: sold by hand, kill: all actors",),
        _SOLD_AT_ALL,
    ),
    Mutation(
        "the short of an ended run",
        (
            Edit(
                _AUDIT,
                "    concerned = {intent.key: (intent.strategy_id, intent.user_id) for intent in account.known}\n",
                "    concerned: dict[PositionKey, tuple[int, int]] = {}\n",
            ),
        ),
        ("guarding: a sell order of his own waits",),
        ("untold: no position_short",),
    ),
    Mutation(
        "the look before a BUY",
        (Edit(_PLACER, "            if short is None:\n", "            if True:\n"),),
        ("before the BUY: short of his own before the BUY",),
        ("covered",),
    ),
    Mutation(
        "one order in the queue at the circuit",
        (
            Edit(
                _CHASE,
                "        move = next_move(self._parked, band)\n",
                "        move = next_move(self._parked, None)\n",
            ),
            Edit(_CHASE, "self._parked.pause or", "ParkedExit().pause or"),
        ),
        ("guarding: locked at the lower circuit",),
        ("restless", "starved"),
    ),
    Mutation(
        "a trade counts however late it is heard",
        (
            Edit(
                _STOP_LOSS,
                "    if tick.exchange_time < watched_since:\n",
                "    if tick.exchange_time < max(watched_since, tick.received_at - timedelta(seconds=5)):\n",
            ),
        ),
        ("guarding: the feed lags 6 s", "guarding: the feed is away at the touch"),
        ("silent", "stuck"),
    ),
    Mutation(
        "stamps are judged by those of their stream",
        (
            Edit(
                _TICK_FILTER,
                "received_at + AHEAD if lag is None else received_at + AHEAD - min(lag, _NONE)",
                "received_at + AHEAD",
            ),
            Edit(_TICK_FILTER, "(received_at + LARGEST_OFFSET if lag is None else possible)", "possible"),
        ),
        ("guarding: the stamps are 4 s ahead",),
        ("late", "silent", "stuck"),
    ),
    Mutation(
        "the hours of the market",
        (
            Edit(
                "actors/execution/orders/order_hours.py",
                "    return None if closed is None else market_closed(",
                "    return None if True else market_closed(",
            ),
            Edit(
                _PLACER,
                "        return None if closed is None else market_closed(",
                "        return None if True else market_closed(",
            ),
        ),
        ("guarding: the market closes for a minute",),
        ("closed",),
    ),
    Mutation(
        "the cleaning of texts",
        (
            Edit(
                "broker/kite/answers/broker_text.py",
                "    text = said if isinstance(said, str) else str(said)\n",
                "    return str(said)\n    text = said if isinstance(said, str) else str(said)\n",
            ),
        ),
        ("exit sent: an odd byte in a refusal",),
        ("unsaid", "unclean", "stuck"),
    ),
    Mutation(
        "one account, one owner",
        (
            Edit(
                "persistence/migrations/versions/0005_one_owner.py",
                '    op.create_unique_constraint(CONSTRAINT, "broker_accounts", ["broker", "broker_user_id"])\n',
                '    op.create_unique_constraint(CONSTRAINT, "broker_accounts", ["broker", "broker_user_id", "id"])\n',
            ),
        ),
        ("guarding: another user connects the account",),
        ("shared",),
    ),
)
"""Cases that notice are named as in `outside_catalogue`."""
