"""Strategies: create, change, start, stop, and what their status is.

May import `api.base`, `api.users.dependencies`, the service of `api.brokers`, broker, persistence and
the engine's port.
"""
