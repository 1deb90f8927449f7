"""What the shells need of the world, as protocols, and the values that cross them.

Values are frozen and made of standard types and domain types, so they travel between processes as they are. May import
the domain. There is a module for each part that needs something: import from it.
"""
