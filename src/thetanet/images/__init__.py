"""Images: brought to a frame, deformed, normalised."""
