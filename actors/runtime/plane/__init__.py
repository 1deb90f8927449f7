"""The socket plane: the few messages that must not wait for Ray travel over links of their own.

May import the ports over Ray, the ports and the domain; no large library, as every strategy loads it.
"""
