"""The second guard: watches stop-losses beside the strategies, and sells if a strategy does not.

May import `actors.prices`, whose feed shell it hears prices with, the ports and the domain.
"""
