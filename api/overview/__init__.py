"""What an operator sees of all tenants at once: the facts of a deployment, and its figures (row P1).

May import the guard view of `api.strategies`, the operator's checks of `api.readiness`, persistence and config.
"""
