"""The OpenAPI document: what FastAPI does not know of our answers, and the examples.

May import `api.base`; only `api.app` imports it.
"""
