"""The second guard: watches stop-losses beside the strategies, and sells if a strategy does not.

May import the ports and the domain.
"""
