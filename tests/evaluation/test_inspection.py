"""`inspect_network` finds stuck and still units, dead inputs, unheard units, large weights."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from thetanet import Theta, ThetaNetClassifier, array_source, cli
from thetanet.errors import InputError
from thetanet.evaluation.inspection import inspect_network


@pytest.fixture
def sick():
    """A network of 5 inputs and 6 hidden units with one fault of each kind, and inputs to see them on."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    X[:, 3] = 7.0  # never varies
    net = ThetaNetClassifier(hidden=6, epochs=1, scaling="none").fit(X, rng.integers(3, size=200))
    theta = Theta.random(5, 6, 3, seed=1)
    theta.flat *= 0.3
    theta.W1[1] = 0  # an input without influence
    theta.W1[:, 2], theta.b1[2] = 0, 50  # always 1: saturated, and still
    theta.W1[:, 4], theta.b1[4] = 0, 0.3  # still, but not saturated
    theta.W1[0, 5] = 900  # saturated on either side
    theta.W2[1] = 0  # nobody hears unit 1
    theta.W2[3, 2] = -40
    net.network_ = replace(net.network_, theta=theta)
    return net, X


def test_every_fault_is_found(sick):
    net, X = sick
    found = inspect_network(net, X)
    assert (found.D_I, found.D_H, found.D_O, found.samples) == (5, 6, 3, 200)
    assert found.dead_inputs == [1, 3]
    assert found.stuck_units == [2, 5]
    assert found.still_units == [2, 4]
    assert found.unheard_units == [1]
    assert found.largest[0] == {"layer": 1, "from": 0, "to": 5, "value": 900.0}
    assert found.largest[1] == {"layer": 2, "from": 3, "to": 2, "value": -40.0}
    assert len(found.largest) == 5
    assert 2 / 6 <= found.saturation < 3 / 6
    assert found.norms["W1"]["largest"] == 900
    assert found.norms["b1"]["norm"] == pytest.approx(np.linalg.norm(net.theta_.b1))


def test_without_data_only_theta_is_looked_at(sick):
    net, _ = sick
    found = inspect_network(net, largest=2)
    assert found.dead_inputs == [1]
    assert (found.samples, found.saturation, found.stuck_units, found.still_units) == (None,) * 4
    assert len(found.largest) == 2
    json.dumps(found.as_dict())


@pytest.mark.parametrize("kind", [pd.DataFrame, sparse.csr_array, np.ndarray.tolist])
def test_any_kind_of_inputs_tells_the_same(sick, kind):
    net, X = sick
    assert inspect_network(net, kind(X)) == inspect_network(net, X)


def test_samples_in_parts_give_the_same_inspection(sick):
    net, X = sick
    source = array_source(X, np.zeros(len(X), int), rows=33)
    assert len(source.parts) == 7
    assert inspect_network(net.network_, source) == inspect_network(net, X)
    wide = array_source(np.ones((3, 6)), np.zeros(3, int))
    with pytest.raises(InputError, match="has 6 inputs"):
        inspect_network(net, wide)


def test_the_command_shows_it_as_a_table_and_as_json(sick, tmp_path, capsys):
    net, X = sick
    model, data = tmp_path / "sick.model", tmp_path / "data.npz"
    net.save(model)
    np.savez(data, X=X, y=np.zeros(200, int))
    assert cli.main(["inspect", str(model), "--data", str(data)]) == 0
    out = capsys.readouterr().out
    for text in ("6 hidden units", "stuck units (saturated at 99% of the samples): 2  (2, 5)", "W1", "900",
                 "inputs without influence: 2  (1, 3)"):  # fmt: skip
        assert text in out
    assert cli.main(["inspect", str(model), "--data", str(data), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["stuck_units"] == [2, 5]
    assert cli.main(["inspect", str(model)]) == 0
    assert "give --data" in capsys.readouterr().out
