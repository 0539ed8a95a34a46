"""Formats of data: a file each."""
