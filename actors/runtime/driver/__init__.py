"""The engine as the API uses it: connects to Ray, spawns, stops and recovers strategies.

May import all of `actors.runtime`.
"""
