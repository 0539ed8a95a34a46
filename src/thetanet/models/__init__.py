"""Trained networks as files, and what is made of them."""
