"""What all rooms of the API share: errors, fields, dependencies, metrics.

Imports no other room of the API.
"""
