"""Live clients of the ledger, execution and feed actors, built in the process that uses them.

May import broker, persistence and config; hosts build on it. Strategies and routers never load it.
"""
