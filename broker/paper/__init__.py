"""A stand-alone paper exchange that speaks Zerodha's Kite Connect v3 protocol.

It runs as its own process with its own ledger and shares no code with the trading engine, so that it can judge
the engine: whatever the engine believes it ordered, the ledger here says what a broker really received.
"""
