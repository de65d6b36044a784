"""Raw wires that know nothing of payments: database, HTTP, clock, vault, processes.

May import the standard library and drivers, nothing of ours.
"""
