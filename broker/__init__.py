"""Everything that knows a broker: Kite, the market's days and hours, and the paper exchange.

May import the ports and the domain; never the API.
"""
