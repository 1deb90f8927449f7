"""The paper exchange as a server: the app and uvicorn.

May import every room of the paper exchange.
"""
