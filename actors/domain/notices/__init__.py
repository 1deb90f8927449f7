"""What a trader is notified of: the kinds of notices, their sentences, and the hours in which they wait (row N1).

Pure. May import sessions, money and errors of the domain.
"""
