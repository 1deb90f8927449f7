"""Lighthouse's marks for screens of a running stack: a script, since it wants a quiet machine (check 4 of the app)."""
