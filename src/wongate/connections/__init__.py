"""Raw wires that know nothing of payments: database, HTTP, clock, vault. May import the standard library and drivers, nothing of ours."""
