"""The app for browsers: its built files (`dist`), served at /app/ under a policy of their own.

Imports the base only. The sources of the app are in `client`, and the files that are served are committed.
"""
