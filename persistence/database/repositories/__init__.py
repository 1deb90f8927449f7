"""Every query of the API. A repository works in the caller's transaction and never commits.

Tenant data is only ever found by its `user_id` (row K1): another tenant's row is as absent as one that never was.

May import the models.
"""
