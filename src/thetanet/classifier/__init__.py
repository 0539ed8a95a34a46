"""The network as a classifier."""
