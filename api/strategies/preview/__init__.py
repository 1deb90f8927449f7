"""What create and START would say and do, asked before: the rules, the session, and what it may cost.

Stores nothing. May import what `api.strategies` may, and the services of that room.
"""
