"""A strategy over a recorded day, in virtual time: the same `step()` that trades, and a picture of the day.

May import the domain, the broker's time zone, and of its own room what stands below.
"""
