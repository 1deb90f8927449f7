"""What the two guards of a stop-loss rest on, each with the change that takes it away."""

from tests.chaos.mutations import Edit, Mutation

_STOPS, _EXECUTION = "actors/stop_guard.py", "actors/execution_actor.py"
_MACHINE = "actors/domain/strategy_machine.py"

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
        ("guarding: strategy killed", "touched: the feed's stream lost"),
        ("unguarded",),
    ),
)
"""Lives that notice are named as in `guards_catalogue`."""
