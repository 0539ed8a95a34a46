"""What any source must do, for each source of the table in `source_table.py`."""

import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from scipy import sparse
from source_table import CASES, NAMES, Invert, M, dense, folder_in, make_samples, read_part

from thetanet import ThetaNetClassifier, array_source, open_source
from thetanet.data.alignment import align_source
from thetanet.data.hold_out import hold_out
from thetanet.data.scaling import Scaling
from thetanet.data.source import SampleSchema, read_rows
from thetanet.data.survey import ArraySurvey, PartsSurvey, survey_source
from thetanet.errors import DataFileError

X, Y = make_samples()
WEIGHT = np.random.default_rng(5).integers(0, 4, size=M).astype(np.float64)
IN_PARTS, IN_MEMORY = 0, 1 << 30  # as IN_MEMORY_BYTES

every_source = pytest.mark.parametrize("name", CASES)


def sources_with(**properties):
    """Return the decorator of a test of the sources with these properties."""
    names = [
        name
        for name, case in CASES.items()
        if all(getattr(case, key) == properties[key] for key in properties)
    ]
    return pytest.mark.parametrize("name", names)


@pytest.fixture(autouse=True)
def keep_in(tmp_path, monkeypatch):
    """Read sources in parts, however small they are; return a function that changes this."""
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / "cache"))

    def set_limit(bytes_in_memory):
        monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", bytes_in_memory)

    set_limit(IN_PARTS)
    return set_limit


@pytest.fixture
def open_case(tmp_path):
    """Return a function that writes samples in the way of a row of the table, and opens them."""

    def open_source_of(name, X=X, y=Y, weight=None, folder="data"):
        return CASES[name].source(folder_in(tmp_path, folder), X, y, weight)

    return open_source_of


@pytest.fixture(scope="module")
def process():
    """Another process, which shares no memory with this one."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


def identify(X):
    """Return each row as bytes: rows of X differ."""
    return [row.tobytes() for row in dense(X).astype(np.uint8)]


def place_of(rows, X=X):
    """Return the places in X of some of its rows."""
    places = {row: n for n, row in enumerate(identify(X))}
    return np.array([places[row] for row in identify(rows.X)])


# Reading


@every_source
def test_samples_come_out_as_they_were_written(name, open_case):
    case = CASES[name]
    source = open_case(name)
    rows = source.read_all()
    assert dense(rows.X).dtype == case.dtype
    assert isinstance(rows.X, np.ndarray) != case.sparse
    assert rows.y.dtype.kind == "i"
    assert rows.weight is None
    places = place_of(rows)
    np.testing.assert_array_equal(dense(rows.X), X[places])
    np.testing.assert_array_equal(rows.y, Y[places])
    if case.complete:
        assert sorted(places) == list(range(M))
    if case.ordered:
        assert sorted(places) == places.tolist()


@every_source
def test_parts_are_alike_and_say_where_they_are(name, open_case):
    source = open_case(name)
    assert len({SampleSchema.of(read_rows(part)) for part in source.parts}) == 1
    assert len({part.where for part in source.parts}) == len(source.parts)
    assert all(part.file_name for part in source.parts)
    assert source.feature_names == (NAMES if CASES[name].named else None)


@every_source
def test_parts_are_read_in_any_order_by_threads_and_by_another_process(name, open_case, process):
    source = open_case(name)  # which keeps temporary files
    parts = source.parts
    expected = [read_part(part) for part in parts]
    with ThreadPoolExecutor(3) as threads:
        in_threads = list(threads.map(read_part, reversed(parts)))
    in_process = list(process.map(read_part, reversed([pickle.loads(pickle.dumps(part)) for part in parts])))
    for pieces in (in_threads, in_process):
        for rows, other in zip(expected, reversed(pieces), strict=True):
            np.testing.assert_array_equal(rows.X, other.X)
            np.testing.assert_array_equal(rows.y, other.y)


@sources_with(recognised=True, derived=False)
def test_open_source_recognises_the_format(name, open_case, tmp_path):
    expected = open_case(name).read_all()
    rows = open_source(CASES[name].path(folder_in(tmp_path))).read_all()
    assert rows.X.dtype == expected.X.dtype
    np.testing.assert_array_equal(dense(rows.X), dense(expected.X))
    np.testing.assert_array_equal(rows.y, expected.y)


@every_source
def test_the_head_is_the_beginning(name, open_case):
    source = open_case(name)
    head, rows = source.read_head(30), source.read_all()
    np.testing.assert_array_equal(dense(head.X), dense(rows.X)[:30])
    np.testing.assert_array_equal(head.y, rows.y[:30])


@sources_with(weights=True)
def test_weights_come_with_their_samples(name, open_case):
    source = open_case(name, weight=WEIGHT)
    rows = source.read_all()
    np.testing.assert_array_equal(rows.weight, WEIGHT[place_of(rows)])
    survey = survey_source(array_source(rows.X, rows.y, rows.weight, rows=50))
    samples = survey_source(source).samples(survey.labels(), "none")
    assert samples.total_weight == rows.weight.sum()
    np.testing.assert_allclose(
        samples.target_mean() * rows.weight.sum(), np.bincount(rows.y, rows.weight), rtol=1e-12
    )


@sources_with(texts=True)
def test_labels_may_be_texts(name, open_case):
    texts = np.array(["oak", "birch", "alder-buckthorn"])
    rows = open_case(name, y=texts[Y]).read_all()
    assert rows.y.tolist() == texts[Y[place_of(rows)]].tolist()


# Fingerprints


@sources_with(recognised=True)
def test_the_fingerprint_changes_with_the_file_and_only_with_it(name, open_case, tmp_path):
    def fingerprints():
        parts = CASES[name].open(folder_in(tmp_path)).parts
        return [repr((type(part).__name__, part.fingerprint)) for part in parts]

    open_case(name)
    first = fingerprints()
    assert len(set(first)) == len(first)
    assert fingerprints() == first
    for path in folder_in(tmp_path).rglob("*"):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert set(fingerprints()).isdisjoint(first)


@sources_with(recognised=True)
def test_a_second_survey_reads_nothing_and_a_change_is_noticed(name, open_case, tmp_path, monkeypatch):
    first = survey_source(open_case(name))
    again = CASES[name].open(folder_in(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(type(again.parts[0]), "read", lambda part: pytest.fail("was read again"))
        assert survey_source(again).digest == first.digest
    other = X.copy()
    other[0] = 1
    assert survey_source(open_case(name, other, folder="other")).digest != first.digest


@sources_with(recognised=False)
def test_what_cannot_be_recognised_is_not_cached(name, open_case, tmp_path):
    first = survey_source(open_case(name, folder="first"))
    assert isinstance(first, ArraySurvey) or first.digest == survey_source(open_case(name)).digest
    assert not list(tmp_path.glob("cache/*"))


# Sources of other sources


@sources_with(sparse=False)
def test_a_function_is_applied_to_each_sample(name, open_case):
    source = open_case(name)
    mapped = source.map(Invert())
    rows, changed = source.read_all(), mapped.read_all()
    np.testing.assert_array_equal(changed.X, 255 - rows.X)
    np.testing.assert_array_equal(changed.y, rows.y)
    assert (mapped.name, mapped.feature_names) == (source.name, source.feature_names)
    for part, other in zip(source.parts, mapped.parts, strict=True):
        assert part.where == other.where
        assert part.fingerprint is None or part.fingerprint != other.fingerprint
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(other)).read().X, 255 - part.read().X)


@every_source
def test_labels_are_read_as_texts_where_those_of_the_training_data_are(name, open_case):
    source = open_case(name)
    aligned = align_source(source, None, np.array(["0", "1", "2", "other"]))
    rows, texts = source.read_all(), aligned.read_all()
    assert texts.y.tolist() == rows.y.astype(str).tolist()
    np.testing.assert_array_equal(dense(texts.X), dense(rows.X))


@every_source
def test_inputs_are_brought_into_the_order_of_the_training_data(name, open_case):
    source = open_case(name)
    aligned = align_source(source, NAMES[::-1])
    X = dense(source.read_all().X)
    np.testing.assert_array_equal(dense(aligned.read_all().X), X[:, ::-1] if CASES[name].named else X)
    if CASES[name].named:
        assert aligned.feature_names == NAMES[::-1]
        with pytest.raises(DataFileError, match=r"it lacks 'q' and has 'p11' besides"):
            align_source(source, [*NAMES[:-1], "q"])


@pytest.mark.parametrize("limit", [IN_PARTS, IN_MEMORY], ids=["in parts", "in memory"])
@every_source
def test_samples_are_held_out_once_and_all_others_remain(name, limit, open_case, keep_in):
    keep_in(limit)
    source = open_case(name, weight=WEIGHT if CASES[name].weights else None)
    survey = survey_source(source)
    pieces = [[piece.read_all() for piece in hold_out(source, survey, 0.3, seed)] for seed in (1, 1, 2)]
    for training, validation in pieces:
        places = [place_of(rows) for rows in (training, validation)]
        assert sorted(np.concatenate(places)) == sorted(place_of(source.read_all()))
        assert len(places[1]) / survey.M == pytest.approx(0.3, abs=0.06)
        for rows, place in zip((training, validation), places, strict=True):
            np.testing.assert_array_equal(rows.y, Y[place])
            assert rows.weight is None or rows.weight.tolist() == WEIGHT[place].tolist()
    first, again, other = (identify(validation.X) for _, validation in pieces)
    assert first == again
    assert set(first) != set(other)


# Malformed samples


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.damage is not None])
def test_a_malformed_sample_is_an_error_or_is_skipped(name, open_case, tmp_path):
    open_case(name)
    CASES[name].damage(folder_in(tmp_path))
    if name != "parquet, unpacked":  # which is read when it is opened
        with pytest.raises(DataFileError):
            CASES[name].open(folder_in(tmp_path)).read_all()
    for _ in range(2):  # the second survey comes from the cache
        source = CASES[name].open(folder_in(tmp_path), skip_bad=True)
        with pytest.warns(UserWarning, match="1 bad row skipped, the first at"):
            assert survey_source(source).M == M - 1
    rows = source.read_all()
    np.testing.assert_array_equal(rows.y, Y[place_of(rows)])
    assert len(set(identify(rows.X))) == M - 1
    assert sum(count for count, _, _ in source.skipped_rows().values()) == 1


# Surveys


@every_source
def test_surveys_in_parts_and_in_memory_agree(name, open_case, keep_in):
    weight = WEIGHT if CASES[name].weights else None
    source = open_case(name, weight=weight)
    rows = source.read_all()
    keep_in(IN_MEMORY)
    kept = survey_source(open_case(name, weight=weight, folder="again"))
    keep_in(IN_PARTS)
    survey = survey_source(source)
    assert isinstance(kept, ArraySurvey)
    assert isinstance(survey, ArraySurvey if source.in_memory else PartsSurvey)
    labels = kept.labels()
    assert (survey.M, survey.schema) == (kept.M, kept.schema)
    np.testing.assert_array_equal(survey.labels().classes, labels.classes)
    np.testing.assert_array_equal(kept.rows.y, rows.y)
    np.testing.assert_array_equal(dense(kept.rows.X), dense(rows.X))
    if isinstance(survey, PartsSurvey):
        assert survey.class_counts == dict(enumerate(np.bincount(rows.y).tolist()))
    for kind in ("auto", "none", "pixels", "maximum", *([] if CASES[name].sparse else ["standard"])):
        for class_weight in (None, "balanced"):
            one, other = (each.samples(labels, kind, class_weight) for each in (survey, kept))
            assert one.M == other.M
            assert one.total_weight == pytest.approx(other.total_weight, rel=1e-12)
            np.testing.assert_allclose(one.target_mean(), other.target_mean(), rtol=1e-12)
            assert_same_scaling(one.scaling, other.scaling)


def assert_same_scaling(one: Scaling, other: Scaling):
    """Compare two scalings, up to rounding."""
    assert one.kind == other.kind
    np.testing.assert_allclose(one.factor, other.factor, rtol=1e-12)
    assert (one.shift is None) == (other.shift is None)
    if one.shift is not None:
        np.testing.assert_allclose(one.shift, other.shift, rtol=1e-12)


@every_source
def test_the_digest_of_a_survey_is_that_of_its_samples(name, open_case, keep_in):
    other = X.copy()
    other[-1] = 1
    for limit in (IN_PARTS, IN_MEMORY):
        keep_in(limit)
        digests = []
        for folder, changed in (("a", X), ("b", X), ("c", other)):
            survey = survey_source(open_case(name, changed, folder=folder))
            digests.append(survey.samples(survey.labels(), "none").digest())
        assert digests[0] == digests[1]
        assert digests[0] != digests[2] or not CASES[name].complete


# Training


def train(*samples, **options):
    """Return Theta of a short training, as bytes."""
    settings = {"hidden": 4, "epochs": 3, "random_state": 0, **options}
    return ThetaNetClassifier(**settings).fit(*samples).theta_.flat.tobytes()


def arrays_of(source):
    """Return X, y and perhaps weights of a source."""
    return [array for array in source.read_all() if array is not None]


@every_source
def test_samples_that_are_kept_in_memory_train_to_the_bits_of_arrays(name, open_case, keep_in):
    source = open_case(name, weight=WEIGHT if CASES[name].weights else None)
    keep_in(IN_MEMORY)
    assert train(source, descent="adam", batch_size=16) == train(
        *arrays_of(source), descent="adam", batch_size=16
    )


@pytest.mark.parametrize("scaling", ["pixels", "none"])
@every_source
def test_whole_passes_over_parts_give_the_bits_of_arrays(name, scaling, open_case):
    source = open_case(name)
    options = {"descent": "lbfgs", "scaling": scaling}
    assert train(source, **options) == train(*arrays_of(source), **options)


@pytest.mark.parametrize("name", ["parquet", "parquet, bytes", "batches", "dask arrays"])
def test_mini_batches_are_the_same_where_parts_are(name, open_case):
    expected = train(open_case("arrays in parts"), batch_size=16)
    assert train(open_case(name), batch_size=16) == expected


def test_sparse_samples_train_to_the_bits_of_sparse_arrays(open_case):
    options = {"descent": "lbfgs", "scaling": "pixels"}
    assert train(open_case("svmlight"), **options) == train(
        array_source(sparse.csr_matrix(X.astype(np.float64)), Y), **options
    )
