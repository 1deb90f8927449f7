"""Where shells become Ray actors: the only room that imports Ray.

May import the shells, broker, persistence, and everything below. driver > hosts > clients, plane > ray_ports > peers.
"""
