"""What a fitted network does on data, and whether it is healthy."""
