"""A picture of the replayed day: one SVG file without scripts, legible on a phone, in light and in dark.

May import the player, whose decisions it marks, and the bars.
"""
