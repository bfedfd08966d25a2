"""One view per kind of probe: figure, controls and how to read it."""
