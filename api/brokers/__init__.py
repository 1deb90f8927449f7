"""A user's connections to brokers: connect, status, disconnect, logins in the browser, and questions to the broker.

May import `api.base`, `api.users.dependencies`, broker, persistence and config.
"""
