"""Hand-written fakes of our ports, one file per port. They remember what they were asked, and answer what a test says.

`trace`, where a fake has one, is shared by several of them, so that a test can see what came first.
"""
