"""How a trusted process gets a root of its own: an ordered list, then one file per kernel noun.

What happens inside a cell is ``worker.sandbox.lockdown``; here is what stands around zygotes and fronts.
"""
