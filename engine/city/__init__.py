"""What a city is: tables, readers, checks, grids, graphs, splits and the synthetic city."""
