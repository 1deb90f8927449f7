"""The strategy's shell: it carries out what the machine of `actors.domain.strategy` decides.

May import the ports and the domain. It runs in thousands of processes, so it imports no large library.
"""
