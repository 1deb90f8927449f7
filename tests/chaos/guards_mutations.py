"""What the two guards of a stop-loss rest on, each with the change that takes it away."""

from tests.chaos.mutations import Edit, Mutation

_STOPS, _EXECUTION = "actors/execution/guarding/stop_guard.py", "actors/execution/shell.py"
_PLACER = "actors/execution/orders/placer.py"
_MACHINE = "actors/domain/strategy/machine.py"

GUARDS_MUTATIONS = (
    Mutation(
        "the strategy's own check",
        (
            Edit(
                _MACHINE,
                "    if state.phase is Phase.GUARDING:\n        return exits.begin_exit(seen,",
                "    if False:\n        return exits.begin_exit(seen,",
            ),
        ),
        ("touched: the accounts' streams lost",),
        ("unguarded",),
    ),
    Mutation(
        "the second guard",
        (
            Edit(
                _STOPS,
                "        if self._token(stop) is None:\n            return\n        command",
                "        return\n        command",
            ),
        ),
        ("touched: the feed's stream lost",),
        ("unguarded",),
    ),
    Mutation(
        "the feed's link where no account's stream brings prices",
        (
            Edit(
                "actors/execution/guarding/guarded_market.py",
                "                changed |= self._ask_feed(instrument)\n",
                "                continue\n",
            ),
        ),
        ("touched: no market data on the accounts' streams, strategy frozen",),
        ("unguarded",),
    ),
    Mutation(
        "both guards join one order",
        (
            Edit(
                _EXECUTION,
                "        work = self._working.get(intent_id)\n        if work is None:\n",
                "        work = None\n        if work is None:\n",
            ),
            # alone the second one finds the claim held, and looks before it sends
            Edit(
                _EXECUTION,
                "        if verdict is ClaimVerdict.HELD_BY_ME:\n",
                "        if False:\n",
            ),
        ),
        ("touched: nothing else",),
        ("duplicate",),
    ),
    Mutation(
        "an exit in work disarms its stop",
        (
            Edit(
                _STOPS,
                "        self._begun[strategy_id] = max(self._begun.get(",
                "        self._begun[strategy_id] = min(self._begun.get(",
            ),
            # alone it is asked for whether anything is left to sell
            Edit(_PLACER, "        if check or not self.evidence.proves(command):\n", "        if False:\n"),
        ),
        # the process may be back before the next price: without the ledger it learns of its exit later
        ("guarding: strategy killed", "exit rests: strategy and ledger killed", "touched: strategy and ledger killed"),
        ("duplicate",),
    ),
)
"""Cases that notice are named as in `guards_catalogue`."""
