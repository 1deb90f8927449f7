"""Sending: takes notices out of the outbox, by mail, to browsers and other services; refuses some addresses (row N1).

May import `api.base`, persistence and the domain.
"""
