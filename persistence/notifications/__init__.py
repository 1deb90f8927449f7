"""Where notices are sent to, and what is on its way there: channels, deliveries and their leases (row N1).

May import the database.
"""
