"""One training loop for every model, and its checkpoints."""
