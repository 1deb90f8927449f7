"""Recordings as people have them: files become the bars of one day, and what was understood of them is said.

Pure but for `content`, which opens the file. May import the domain and the broker's time zone.
"""
