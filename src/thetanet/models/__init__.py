"""Trained networks: model files, committees, fast prediction, and the models in the package."""
