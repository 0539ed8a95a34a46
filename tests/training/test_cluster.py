"""The cluster engine: the same bits whatever the number of workers, and whoever dies on the way."""

import contextlib
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from scipy import sparse

from thetanet import ThetaNetClassifier
from thetanet.cli import main
from thetanet.data.formats.arrays import array_source
from thetanet.data.formats.dask import dask_source
from thetanet.data.formats.npy import npy_source
from thetanet.descent import SGD, Adam, Averaged, Clipped
from thetanet.engine.cpu.engine import CPUEngine
from thetanet.engine.dask import DaskEngine, connect
from thetanet.errors import ClusterError, DataFileError, InputError
from thetanet.images.deform import Deform

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

# Dask closes its sockets and event loops in the background, some only when they are collected.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed.*:pytest.PytestUnraisableExceptionWarning"),
]

WHOLE_PASSES = ["gd", "cg", "scg", "rprop", "lbfgs", "newton"]
GROUPS = 4


@pytest.fixture(scope="module", autouse=True)
def quiet():
    """Dask reports deaths of workers, and gives up those that die twice in a row; here it is on purpose."""
    logger = logging.getLogger("distributed")
    before, logger.level = logger.level, logging.CRITICAL + 1
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}):
        yield
    logger.level = before


@pytest.fixture(scope="module")
def clusters():
    """Clients of clusters by their number of workers, started when first asked for."""
    started = {}

    def client(workers):
        if workers not in started:
            cluster = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=None
            )
            started[workers] = distributed.Client(cluster), cluster
        return started[workers][0]

    yield client
    for client, cluster in started.values():
        client.close()
        cluster.close()


@pytest.fixture(scope="module")
def engine(clusters):
    """An engine on two workers, in double precision."""
    return DaskEngine(clusters(2), groups=GROUPS, dtype="float64")


def blobs(M=600, D_I=12, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=M)
    return rng.normal(size=(classes, D_I))[y] * 1.5 + rng.normal(size=(M, D_I)), y


def net(engine, descent="lbfgs", epochs=4, **options):
    return ThetaNetClassifier(6, descent, epochs=epochs, engine=engine, random_state=0, **options)


def same(one, other):
    return np.array_equal(one.theta_.flat, other.theta_.flat)


@pytest.mark.parametrize("descent", WHOLE_PASSES)
def test_whole_passes_are_the_same_bits_on_one_and_two_workers(clusters, engine, descent):
    X, y = blobs()
    two = net(engine, descent).fit(X, y)
    one = net(DaskEngine(clusters(1), groups=GROUPS, dtype="float64"), descent).fit(X, y)
    assert same(one, two)
    assert one.history_["error"] == two.history_["error"]
    here = net(CPUEngine("float64"), descent).fit(X, y)
    np.testing.assert_allclose(two.history_["error"], here.history_["error"], rtol=1e-6)
    np.testing.assert_allclose(two.theta_.flat, here.theta_.flat, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["two classes", "labels", "sparse", "weights", "pixels", "held out"])
def test_all_kinds_of_samples_train_as_in_one_process(engine, kind):
    X, y = blobs(classes=2 if kind == "two classes" else 3)
    options, given = {}, {}
    if kind == "labels":
        y = np.stack([y == 1, y > 0], axis=1)
    elif kind == "sparse":
        X = sparse.csr_matrix(np.where(X > 1, X, 0))
    elif kind == "weights":
        given["sample_weight"] = np.random.default_rng(1).uniform(size=len(y))
        options["class_weight"] = "balanced"
    elif kind == "pixels":
        X = np.clip(X * 40 + 100, 0, 255).astype(np.uint8)
    elif kind == "held out":
        options |= {"validation_fraction": 0.2, "scoring": "accuracy", "patience": 3}
    there = net(engine, alpha=0.1, **options).fit(X, y, **given)
    here = net(CPUEngine("float64"), alpha=0.1, **options).fit(X, y, **given)
    for name in ("error", "accuracy", "val_error", "val_score"):
        if here.history_[name][0] is not None:
            np.testing.assert_allclose(there.history_[name], here.history_[name], rtol=1e-6)
    np.testing.assert_allclose(there.outputs(X), here.outputs(X), atol=1e-6)


@pytest.fixture
def files(tmp_path):
    X, y = blobs()
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    return npy_source(tmp_path / "X.npy", tmp_path / "y.npy", rows=70)


def test_workers_read_the_parts_of_a_source(clusters, engine, files):
    X, y = blobs()
    here = net(CPUEngine("float64"), class_weight="balanced").fit(files, X_val=X[:50], y_val=y[:50])
    for keep in (True, False):
        own = DaskEngine(clusters(2), groups=GROUPS, dtype="float64", keep=keep)
        there = net(own, class_weight="balanced").fit(files, X_val=X[:50], y_val=y[:50])
        for name in ("error", "val_error"):
            np.testing.assert_allclose(there.history_[name], here.history_[name], rtol=1e-6)
    # Adam runs over chunks that are read as well as over those that are kept.
    E = net(own, "adam", epochs=3).fit(files).history_["error"]
    assert E[-1] < E[0]


def test_dask_arrays_and_dataframes(engine):
    da = pytest.importorskip("dask.array")
    X, y = blobs()
    here = net(CPUEngine("float64")).fit(X, y)
    there = net(engine).fit(da.from_array(X, chunks=(110, 5)), da.from_array(y, chunks=110))
    np.testing.assert_allclose(there.history_["error"], here.history_["error"], rtol=1e-6)
    with pytest.raises(InputError, match="rechunk"):
        net(engine).fit(da.from_array(X, chunks=(110, 5)), da.from_array(y, chunks=100))
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(X, columns=[f"x{n}" for n in range(X.shape[1])])
    frame["kind"] = np.array(["a", "b", "c"])[y]
    there = net(engine).fit(dask_source(dd.from_pandas(frame, npartitions=5), target="kind"))
    np.testing.assert_allclose(there.history_["error"], here.history_["error"], rtol=1e-6)
    assert there.classes_.tolist() == ["a", "b", "c"]
    assert there.feature_names_in_[1] == "x1"
    with pytest.raises(InputError, match="nothing"):
        dask_source(dd.from_pandas(frame, npartitions=5), target="nothing")


@pytest.mark.parametrize("descent", [*WHOLE_PASSES, "adam"])
@pytest.mark.parametrize("keep", [True, False])
def test_groups_without_samples_are_left_out(clusters, descent, keep):
    da = pytest.importorskip("dask.array")
    X, y = blobs()
    rows = (0, 0, 200, 400, 0, 0)
    own = DaskEngine(clusters(2), groups=8, dtype="float64", keep=keep)
    there = net(own, descent).fit(da.from_array(X, chunks=(rows, -1)), da.from_array(y, chunks=(rows,)))
    assert "2 groups" in there.explanation_
    full = DaskEngine(clusters(2), groups=2, dtype="float64", keep=keep)
    chunks = rows[2:4]
    expected = net(full, descent).fit(
        da.from_array(X, chunks=(chunks, -1)), da.from_array(y, chunks=(chunks,))
    )
    assert same(there, expected)


def test_rows_that_workers_skip_are_told(engine, tmp_path):
    pytest.importorskip("pyarrow")
    from thetanet.data.formats.csv import csv_source

    X, y = blobs()
    for n, bad in enumerate(("", "1,2\n", "x" + ",1" * 12 + "\n1,2\n")):
        rows = [",".join(map(repr, [*x, label])) for x, label in zip(X.tolist(), y.tolist(), strict=True)]
        names = ",".join([f"x{j}" for j in range(12)])
        (tmp_path / f"{n}.csv").write_text("\n".join([f"{names},label", *rows]) + f"\n{bad}")
    source = csv_source([tmp_path / f"{n}.csv" for n in range(3)], piece=20_000, skip_bad=True)
    with pytest.warns(UserWarning, match="skipped") as caught:
        net(engine, epochs=1).fit(source)
    told = sorted(str(each.message) for each in caught)
    assert len(told) == 2
    assert "1.csv: 1 bad row skipped, the first at line 602: Expected 13 columns" in told[0]
    assert "2.csv: 2 bad rows skipped, the first at line 602" in told[1]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"p": ["q", "r"] * 20},
            r"partition 0 of a Dask dataframe: column 'p' holds 'q' in row 1; encode it",
        ),
        ({"p": [1.5, None] * 20}, r"partition 0 .*: column 'p' holds no value in row 2; remove"),
        ({"p": [1.5, np.inf] * 20}, r"partition 0 .*: column 'p' holds inf in row 2"),
        ({"p": np.arange(40).astype("M8[s]")}, r"partition 0 .*: column 'p' holds .*1970.* in row 1; encode"),
        (
            {"n": [1] * 30 + [None] * 10},
            r"partition 1 of a Dask dataframe: column 'n' holds no value in row 11",
        ),
        ({"label": ["a", "b", None, "a"] * 10}, r"partition 0 .*: column 'label' holds no value"),
        ({"label": [1, 0, None, 1] * 10}, r"partition 0 .*: column 'label' holds no value"),
    ],
)
def test_a_dask_dataframe_that_cannot_be_trained_on_says_why(engine, columns, says):
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame({"p": [0.5, 1.5] * 20, "label": ["a", "b"] * 20, **columns})
    if "n" in columns:
        frame["n"] = frame["n"].astype("Int64")
    if columns.get("label", [""])[0] == 1:
        frame["label"] = frame["label"].astype("Int64")
    source = dask_source(dd.from_pandas(frame, npartitions=2), target="label")
    with pytest.raises(DataFileError, match=says):
        net(engine).fit(source)


def test_dask_arrays_of_objects_that_cannot_be_trained_on_say_why(engine):
    da = pytest.importorskip("dask.array")
    X, y = blobs(40)
    words, some = X.astype(object), np.array(["a", "b", None, "b"] * 10, dtype=object)
    words[3, 1] = "q"
    y = da.from_array(y, chunks=20)
    with pytest.raises(DataFileError, match="block 0 of a Dask array: column 2 of X holds 'q' in row 4"):
        net(engine).fit(da.from_array(words, chunks=(20, -1)), y)
    with pytest.raises(DataFileError, match="block 0 of a Dask array: y holds no value in row 3"):
        net(engine).fit(da.from_array(X, chunks=(20, -1)), da.from_array(some, chunks=20))


def test_validation_data_may_be_a_dask_collection(engine):
    da = pytest.importorskip("dask.array")
    X, y = blobs()
    held = da.from_array(X[:90], chunks=(40, -1)), da.from_array(y[:90], chunks=40)
    expected = net(engine).fit(X, y, X_val=X[:90], y_val=y[:90]).history_["val_error"]
    for training in ((X, y), (da.from_array(X, chunks=(200, -1)), da.from_array(y, chunks=200))):
        there = net(engine).fit(*training, X_val=held[0], y_val=held[1])
        np.testing.assert_allclose(there.history_["val_error"], expected, rtol=1e-6)


def test_columns_of_a_dask_dataframe_are_taken_by_their_names(engine):
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    X, y = blobs()
    frame = pd.DataFrame(X, columns=[f"x{n}" for n in range(12)]).assign(kind=np.array(["0", "1", "x"])[y])
    held = frame[frame["kind"] != "x"].astype({"kind": int})  # as texts they are classes, too
    source = dask_source(dd.from_pandas(frame, npartitions=3), target="kind")
    there = net(engine).fit(source, X_val=dask_source(dd.from_pandas(held, npartitions=2), target="kind"))
    mixed = dd.from_pandas(held[held.columns[::-1]], npartitions=2)
    again = net(engine).fit(source, X_val=dask_source(mixed, target="kind"))
    np.testing.assert_allclose(again.history_["val_error"], there.history_["val_error"], rtol=1e-6)
    here = net(CPUEngine("float64")).fit(X, y, X_val=X[y < 2], y_val=y[y < 2])
    np.testing.assert_allclose(there.history_["val_error"], here.history_["val_error"], rtol=1e-6)


def test_a_source_is_looked_through_as_here(engine):
    """Also where no group of parts has all classes, and some parts are empty."""
    X, y = blobs()
    order = np.argsort(y)
    X, y = np.concatenate([X[order], X[:0]]), y[order]
    here = net(CPUEngine("float64")).fit(array_source(X, y, rows=50))
    there = net(engine).fit(array_source(X, y, rows=50))
    np.testing.assert_allclose(there.history_["error"], here.history_["error"], rtol=1e-6)
    with pytest.raises(InputError, match="at least two classes"):
        net(engine).fit(array_source(X, np.zeros(len(X)), rows=50))


@pytest.mark.parametrize(
    "rule",
    [
        Adam(),
        SGD(learning_rate=0.2),
        Averaged(Adam(schedule="constant"), decay=0.9),
        Clipped(SGD(), norm=0.5),
    ],
)
def test_local_steps_converge_and_do_not_depend_on_the_number_of_workers(clusters, engine, rule):
    X, y = blobs()
    two = net(engine, rule, epochs=20, batch_size=32, alpha=0.01).fit(X, y)
    one = net(
        DaskEngine(clusters(1), groups=GROUPS, dtype="float64"), rule, epochs=20, batch_size=32, alpha=0.01
    )
    assert same(one.fit(X, y), two)
    here = net(CPUEngine("float64"), "lbfgs", epochs=60).fit(X, y)
    assert two.score(X, y) > here.score(X, y) - 0.03


class Stopped(Exception):
    """Stands for the death of the client."""


@pytest.mark.parametrize("descent", ["lbfgs", "adam"])
def test_a_training_goes_on_from_its_checkpoint_with_the_same_bits(engine, tmp_path, descent):
    X, y = blobs()

    def stop(record):
        if record.epoch == 3:
            raise Stopped

    whole = net(engine, descent, epochs=6).fit(X, y)
    with pytest.raises(Stopped):
        net(engine, descent, epochs=6, on_epoch=stop).fit(X, y, checkpoint=every_step(tmp_path))
    resumed = net(engine, descent, epochs=6).fit(X, y, checkpoint=every_step(tmp_path), resume=True)
    assert same(resumed, whole)
    assert resumed.history_["error"] == whole.history_["error"]


def every_step(folder):
    from thetanet.training.checkpoints import Checkpoints

    return Checkpoints(folder, every=1)


def pids(client):
    return list(client.run(os.getpid).values())


def test_a_killed_worker_changes_no_bit(engine, files):
    quiet = net(engine, epochs=12).fit(files)

    def kill(record):
        if record.epoch == 4:
            os.kill(pids(engine.client)[0], signal.SIGKILL)

    assert same(net(engine, epochs=12, on_epoch=kill).fit(files), quiet)


def start(*command):
    return subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture
def hosts():
    """A scheduler and a worker, each a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"tcp://127.0.0.1:{port}"
    scheduler = start(
        "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"
    )
    worker = start(
        "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
        "--death-timeout", "60", "--memory-limit", "0",
    )  # fmt: skip
    yield address, scheduler
    for process in (worker, scheduler):
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "how",
    [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.soak)],  # stopped, it just says nothing
    ids=["killed", "silent"],
)
def test_without_a_scheduler_there_is_a_clear_error_and_a_way_to_go_on(engine, hosts, tmp_path, how):
    X, y = blobs()
    address, scheduler = hosts
    killed = []

    def kill(record):
        if record.epoch == 3:
            scheduler.send_signal(how)
            killed.append(time.monotonic())

    with connect(address, groups=GROUPS, dtype="float64") as own:
        with pytest.raises(ClusterError, match=rf"scheduler.*{address}.*--resume"):
            net(own, epochs=6, on_epoch=kill).fit(X, y, checkpoint=every_step(tmp_path))
        assert time.monotonic() - killed[0] < 30
    resumed = net(engine, epochs=6).fit(X, y, checkpoint=every_step(tmp_path), resume=True)
    assert same(resumed, net(engine, epochs=6).fit(X, y))


def test_errors_of_workers_are_those_of_this_machine(engine, tmp_path):
    X, y = blobs()
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    source = npy_source(tmp_path / "X.npy", tmp_path / "y.npy", rows=70)
    with open(tmp_path / "X.npy", "r+b") as file:
        file.truncate(10_000)
    with pytest.raises(DataFileError, match=r"X\.npy"):
        net(engine).fit(source)
    with pytest.raises(InputError, match="deform=None"):
        net(engine, "adam", deform=Deform()).fit(np.zeros((20, 9), np.uint8), np.arange(20) % 2)


def test_prediction_and_cross_validation_need_no_special_care(engine):
    from sklearn.base import clone

    X, y = blobs()
    fitted = net(engine).fit(X, y)
    assert clone(fitted).engine is engine
    assert fitted.score(X, y) > 0.9
    assert net(engine, "adam").partial_fit(X, y).theta_.shape == (12, 6, 3)


def test_cluster_on_the_command_line(tmp_path, capsys, monkeypatch):
    X, y = blobs()
    np.savez(tmp_path / "data.npz", X=X, y=y)
    command = ["train", "--data", str(tmp_path / "data.npz"), "--out", str(tmp_path / "model"), "--json"]
    assert main([*command, "--descent", "lbfgs", "--epochs", "3", "--cluster", "local:1"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "groups of samples on tcp://" in report["explanation"]
    assert main([*command, "--cluster", "nonsense"]) == 2
    assert "local:N" in capsys.readouterr().err
    monkeypatch.setattr("thetanet.engine.dask._CONNECT", 1)
    assert main([*command, "--cluster", "tcp://127.0.0.1:1"]) == 2
    assert "no scheduler answers" in capsys.readouterr().err


@pytest.mark.soak
def test_ten_random_kills_and_a_worker_that_joins_change_no_bit(clusters, tmp_path):
    X, y = blobs(20_000, 60, 5)
    y[::3] = 0  # so that there is something to descend for long
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    files = npy_source(tmp_path / "X.npy", tmp_path / "y.npy", rows=1000)

    def train(client, epochs=120, **options):
        own = DaskEngine(client, groups=8)
        return ThetaNetClassifier(40, "lbfgs", epochs=epochs, engine=own, random_state=0, **options).fit(
            files
        )

    quiet = train(clusters(1))
    assert same(train(clusters(2)), quiet)
    assert same(train(clusters(4)), quiet)
    rng, killed, over = random.Random(0), [], threading.Event()

    def kill(client):
        while len(killed) < 10 and not over.is_set():
            time.sleep(rng.uniform(0.5, 1.5))
            with contextlib.suppress(OSError, KeyError):  # it may have died, or be about to come back
                alive = pids(client)
                if len(alive) > 1:  # or the run only waits
                    killed.append(rng.choice(alive))
                    os.kill(killed[-1], signal.SIGKILL)

    with (
        distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
        distributed.Client(cluster) as other,
    ):
        killer = threading.Thread(target=kill, args=[other])
        killer.start()
        assert same(train(client, on_epoch=lambda record: time.sleep(0.8 * (len(killed) < 10))), quiet)
        over.set()
        killer.join()
        assert len(killed) == 10
        cluster.scale(4)
        before = set()

        def join(record):
            if record.epoch == 5:
                before.update(client.nthreads())
                cluster.scale(5)
                client.wait_for_workers(5)
            if record.epoch == 10:
                time.sleep(2.5)  # news of workers is two seconds old at most
            if record.epoch == 100:
                held = client.has_what()
                used.update(worker for worker, keys in held.items() if keys)

        used = set()
        assert same(train(client, on_epoch=join), quiet)
        assert used - before, "the worker that joined holds nothing"
