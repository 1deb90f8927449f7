"""Strategies: create, change, start, stop, and what their status is.

May import `api.base`, the services of `api.brokers`, broker, persistence and the engine's port.
"""
