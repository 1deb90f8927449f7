"""What all rooms of the paper exchange share: settings, clock, amounts, errors, instruments.

Imports no other room.
"""
