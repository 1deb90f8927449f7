"""What a port promises, on its fake and on the real thing, so that a fake cannot promise more or less.

Where the real side is another Ray actor, the suite calls that actor's own methods in this process
(`tests.kit.actors_here`). `StrategyEngine` needs Ray itself: its suite is `tests/acceptance/test_strategy_engine.py`.
`tests/unit/test_fakes.py` fails for a fake without a suite, and says of the others why they promise nothing.
"""
