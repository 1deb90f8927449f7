"""Redis: the mirror of what runs, the order claims, and the stream of events.

May import `persistence.database.engine` and `persistence.errors`.
"""
