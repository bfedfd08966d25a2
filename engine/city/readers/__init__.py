"""One reader per file format, each recognised by content."""
