"""The controls of the paper exchange, for tests and operators: prices, accounts, faults, the day.

May import `broker.paper.kite_api`, the exchange and the rooms below it.
"""
