"""For those who run the product: health, metrics, the sweep that recovers strategies, and record keeping.

May import `api.base`, the service of `api.brokers`, persistence and config.
"""
