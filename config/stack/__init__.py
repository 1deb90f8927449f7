"""The whole stack on one machine: PostgreSQL, Valkey, Ray and the paper exchange, started, watched and stopped.

May import everything but `config.commands` and `config.backup`.
"""
