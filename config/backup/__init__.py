"""Backups of the embedded stack, and their way back: one file with the database, its secrets and what belongs to them.

May import everything but `config.commands`.
"""
