"""What runs inside the Ray processes: one host for each kind of actor, and the options of its class.

May import the clients, the plane, the ports over Ray and the shells. What strategies load imports few modules.
"""
