"""The warden: owns every process below it, makes cells, ties them, ends them, reaps them.

It never reads a byte that came over the network and imports nothing of ``supervisor.front``.
"""
