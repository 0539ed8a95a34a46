import os

# Before SciPy is imported: with it, scikit-learn's checks of array API inputs run instead of being skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
