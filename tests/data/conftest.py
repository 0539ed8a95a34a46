"""What tests of data have in common."""

import pytest


@pytest.fixture
def read_in_parts(tmp_path, monkeypatch):
    """Read sources in parts, however small they are, and cache their surveys in a folder of the test."""
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / "notes"))
    monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", 0)
