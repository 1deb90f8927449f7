"""What a user is notified of, and how the user wants it: inbox and preferences (row N1).

May import `api.base`, `api.users`, persistence and the domain.
"""
