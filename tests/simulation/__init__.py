"""The deterministic simulation: production code on a virtual clock, faults drawn from a seed, an auditor that shares no code with
it. `docs/simulation.md` says how it works. May import everything; nothing outside this folder imports it."""
