"""The engine: what a strategy decides (`domain`), the shells that carry it out, and their processes (`runtime`).

Its rooms may import what stands below them: runtime > strategy, execution > prices > ports > domain.
"""
