"""Frozen encoders behind one interface each, with a content-addressed cache."""
