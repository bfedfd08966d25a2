"""Pure functions from tables and arrays to decks, figures and maps."""
