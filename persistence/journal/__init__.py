"""The engine's journal: every write of a running strategy, first to PostgreSQL, then to the mirror.

May import the mirror and the database.
"""
