"""What execution keeps of one account at a broker: its order budget, its order book, its shares.

May import the ports and the domain; the other rooms of execution build on it.
"""
