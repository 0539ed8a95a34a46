"""Samples drawn at random out of a source, in memory or in parts."""

import numpy as np
import pytest

from thetanet import array_source
from thetanet.data import survey
from thetanet.data.hold_out import draw_rows
from thetanet.data.survey import survey_source

X = np.arange(4000, dtype=np.uint8).reshape(2000, 2)
Y = np.arange(2000) % 3


def test_so_many_samples_of_arrays_are_drawn_each_at_most_once():
    y = np.arange(2000)
    source = array_source(X, y)
    known = survey_source(source)
    drawn = draw_rows(source, known, 300, seed=1).read_all()
    assert len(drawn.y) == len(set(drawn.y)) == 300
    np.testing.assert_array_equal(drawn.X, X[drawn.y])
    np.testing.assert_array_equal(drawn.y, draw_rows(source, known, 300, seed=1).read_all().y)
    assert (drawn.y != draw_rows(source, known, 300, seed=2).read_all().y).any()
    for count in (None, 2000, 5000):
        everything = draw_rows(source, known, count, seed=1).read_all()
        assert np.shares_memory(everything.X, X)
        np.testing.assert_array_equal(everything.y, y)


def test_about_so_many_samples_of_parts_are_drawn(monkeypatch):
    monkeypatch.setattr(survey, "IN_MEMORY_BYTES", 0)
    source = array_source(X, Y, rows=170)
    known = survey_source(source)
    drawn = draw_rows(source, known, 500, seed=1)
    assert len(drawn.parts) == 12
    rows = drawn.read_all()
    assert len(rows.y) == pytest.approx(500, rel=0.15)
    np.testing.assert_array_equal(rows.X, drawn.read_all().X)
    assert draw_rows(source, known, None, seed=1) is source
    assert draw_rows(source, known, 2000, seed=1) is source
