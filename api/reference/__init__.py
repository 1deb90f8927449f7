"""What clients look up: the shares that there are, when there is trading, and how this deployment is set up.

May import `api.base`, `api.users.dependencies`, the rules of passwords, the service and the lookups of `api.brokers`,
broker and config.
"""
