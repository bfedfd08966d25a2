"""Ranking and flow metrics, slices, significance and reports."""
