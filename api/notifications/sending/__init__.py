"""Sending: what takes notices out of the outbox, by mail and to browsers, and which addresses it refuses (row N1).

May import `api.base`, the service of `api.notifications`, persistence and the domain.
"""
