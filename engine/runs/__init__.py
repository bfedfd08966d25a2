"""Run folders, the registry and background jobs."""
