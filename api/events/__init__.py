"""The stream of changes that the app listens to (server-sent events).

May import `api.base`, the services of `api.strategies` and persistence.
"""
