"""What others than our client do to an account: its owner by hand, the broker, the session's boundaries.

May import the book's and the accounts' rooms.
"""
