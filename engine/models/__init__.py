"""The five models, their baselines, and the contract they share."""
