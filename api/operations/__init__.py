"""For those who run the product: health, metrics, and the sweep that recovers strategies.

May import `api.base`, the service of `api.brokers`, persistence and config.
"""
