"""Broker secrets at rest: sealed, bound to their owner, with keys that can be changed.

May import the database and `config.secret_store`.
"""
