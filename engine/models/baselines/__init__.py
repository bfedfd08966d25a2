"""Honest baselines with the same prediction contract as the models."""
