"""What-if: edits of a city, a query or a mechanism, and their comparison."""
