"""Panic (row N8): one call forbids entries, then ends everything that runs, until all of it is flat.

`marks` keeps in PostgreSQL and Redis who has forbidden entries, `service` takes the calls, `pursuit` goes after what is
still open, in every process of the API.
"""
