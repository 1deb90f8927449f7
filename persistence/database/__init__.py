"""PostgreSQL: engine, tables, and every query of the API.

May import `persistence.errors`.
"""
