"""Training: engine, descent and data joined, as a generator of one record an epoch."""
