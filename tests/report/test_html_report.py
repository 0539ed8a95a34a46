"""The report on a network: one HTML page that says what is measured, and asks nothing of anyone."""

import doctest
import hashlib
import io
import itertools
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification
from sklearn.metrics import precision_recall_fscore_support

import thetanet.report.report
from serving import browser
from thetanet import ThetaNetClassifier, array_source, cli
from thetanet.errors import InputError
from thetanet.evaluation.figures import evaluate
from thetanet.evaluation.inspection import inspect_network
from thetanet.models.fitted import FittedNetwork
from thetanet.plots.embedding import render_pixels, render_svg
from thetanet.report.elements import Html, element, page, table
from thetanet.report.report import About, html_report
from thetanet.report.sections import format_percent
from thetanet.training import progress

pytest.importorskip("matplotlib")

EPOCHS = 30

VOID = {"img", "meta", "link"}


class Page(HTMLParser):
    """Reads a page: its elements, texts and tables; fails if elements are not closed in order."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts, self.tables = [], [], [], {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"{tag} has an attribute twice"
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows, self.caption = [], ""
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self.caption] = self.rows

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        elif "caption" in self.open:
            self.caption += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def table(self, beginning):
        (rows,) = (rows for caption, rows in self.tables.items() if caption.startswith(beginning))
        return rows

    @property
    def text(self):
        return " ".join(self.texts)


def check(html):
    """Read a page and check what holds for every report."""
    found = Page(html)
    assert found.all("html") == [{"lang": "en"}]
    assert len(found.all("title")) == len(found.all("h1")) == len(found.all("main")) == 1
    assert {"script", "iframe", "object", "embed", "form", "base"}.isdisjoint(dict(found.elements))
    for tag, attributes in found.elements:
        assert not any(name.startswith("on") for name in attributes), f"{tag} has a handler"
        for name in ("src", "href", "xlink:href"):
            address = attributes.get(name)
            assert address is None or re.match(r"data:image/png;base64,|data:,$|#", address), address
    assert not re.search(r"url\((?!#)|@import", html)
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(image["alt"] for image in found.all("img"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in found.all("svg"))
    assert all(caption for caption in found.tables)
    assert all(heading["scope"] in ("row", "col") for heading in found.all("th"))
    names = [attributes["id"] for _, attributes in found.elements if attributes.get("id")]
    assert len(names) == len(set(names)), "two elements have one id"
    inner = {attributes["href"][1:] for attributes in found.all("a")}
    assert inner <= set(names)
    (policy,) = (meta["content"] for meta in found.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")
    return found


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (
        ThetaNetClassifier(hidden=20, epochs=EPOCHS, random_state=0).fit(X[:1000], y[:1000]),
        X[1000:],
        y[1000:],
    )


# --- elements ---------------------------------------------------------------------------------------------


@given(st.text(), st.text())
def test_any_text_stays_text(text, other):
    found = Page(element("p", text, element("b", other), title=other, data_x=text))
    assert [tag for tag, _ in found.elements] == ["p", "b"]
    shown = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\r]", "\ufffd", text)
    told = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\r]", "\ufffd", other)
    assert found.elements[0][1] == {"title": told, "data-x": shown}
    assert "".join(found.texts) == shown + told


def test_only_what_is_html_already_is_not_escaped():
    assert element("p", Html("<b>&amp;</b>"), "<b>&") == "<p><b>&amp;</b>&lt;b&gt;&amp;</p>"
    assert element("img", src="a", alt=None) == '<img src="a">'
    assert "<title>&lt;/title&gt;</title>" in page("</title>")
    assert Page(table("<i>", ("<b>", "<u>"), [("<s>", "<q>")])).tables == {
        "<i>": [["<b>", "<u>"], ["<s>", "<q>"]]
    }


def test_only_certainty_is_called_100_percent():
    assert format_percent(1.0) == "100.00%"
    assert format_percent(0.0) == "0.00%"
    assert format_percent(0.999999) == "over 99.99%"
    assert format_percent(1e-9) == "under 0.01%"
    assert format_percent(0.12345) == "12.35%"


# --- what a report says -----------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_evaluation(digits):
    net, X, y = digits
    report = html_report(net, X, y, About("digits", data="images"))
    found, known = check(report.html), evaluate(net, X, y)
    assert (report.evaluation.accuracy, report.evaluation.error) == (known.accuracy, known.error)
    for text in (f"{known.accuracy:.2%}", f"{known.error:.4f}", f"{known.calibration_error:.2%}"):
        assert text in found.text
    header, *rows = found.table("Confusion matrix")
    assert header[1:] == [str(k) for k in range(10)]
    shown = [[int(cell.replace(",", "").replace("·", "0")) for cell in row[1:]] for row in rows]
    assert shown == known.confusion
    precision, recall, _, samples = precision_recall_fscore_support(y, net.predict(X))
    for k, row in enumerate(found.table("Each class")[1:]):
        assert row == [str(k), str(samples[k]), format_percent(recall[k]), format_percent(precision[k])]
    sure = net.confidence(X) >= 0.9
    wrong = (net.predict(X) != y)[sure].mean()
    assert found.table("If it answers")[3] == ["0.9", format_percent(sure.mean()), format_percent(wrong)]
    assert f"Learning curve, {EPOCHS} epochs" in report.html  # the network has just been trained
    health = dict(found.table("Health"))
    assert health["saturated activations"] == format_percent(inspect_network(net, X).saturation)


def test_images_have_a_gallery_of_mistakes_and_pictures_of_units(digits):
    net, X, y = digits
    found = check(html_report(net, X, y).html)
    mistakes = evaluate(net, X, y, worst=60).worst
    alts = [image["alt"] for image in found.all("img") if image["alt"].startswith("Sample")]
    assert alts == [f"Sample {m['row']}: {m['true']}, taken for {m['predicted']}" for m in mistakes]
    assert "Weights into 20 hidden units as images" in [image["alt"] for image in found.all("img")]
    assert not any(caption.startswith("The largest weights") for caption in found.tables)


def test_tables_have_lists_instead_of_pictures_and_names_of_inputs():
    frame = load_iris(as_frame=True)
    y = np.array(["setosa", "versicolor", "virginica"])[frame.target]
    net = ThetaNetClassifier(hidden=3, epochs=5, random_state=0).fit(frame.data, y)
    found = check(html_report(net, frame.data, y, About(tested=False)).html)
    assert found.all("img") == []  # 4 = 2 x 2 inputs are no image
    assert "There is no test part" in found.text
    weights = found.table("The largest weights")[1:]
    assert all(re.match(r"input (sepal|petal) (length|width)|hidden unit \d", row[0]) for row in weights)
    assert len(found.table("The surest mistakes")) > 1


def test_two_classes_and_an_answer_that_is_never_given():
    X = np.linspace(0, 1, 20)[:, None]
    net = ThetaNetClassifier(hidden=2, random_state=0).fit(X, X[:, 0] > 0.5)
    found = check(html_report(net, X, np.ones(20, bool)).html)
    assert found.table("Each class")[1][2] == "no samples"
    assert "one output" in found.text
    sure = check(html_report(net, X[-3:], np.ones(3, bool)).html)
    assert "None: all 3 answers are right." in sure.text
    assert sure.table("Each class")[1][1:] == ["0", "no samples", "never given"]


def test_several_labels_a_sample():
    X, y = make_multilabel_classification(200, n_features=6, n_classes=3, random_state=0)
    net = ThetaNetClassifier(hidden=5, epochs=20, random_state=0).fit(X, y)
    found = check(html_report(net, X, y).html)
    precision, recall, _, samples = precision_recall_fscore_support(y, net.predict(X))
    for k, row in enumerate(found.table("Each class")[1:]):
        assert row == [str(k), str(samples[k]), format_percent(recall[k]), format_percent(precision[k])]
    assert not any(caption.startswith("Confusion") for caption in found.tables)
    assert "all labels of a sample" in found.text


def test_many_classes_have_their_commonest_confusions():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 8))
    y = np.argmax(X @ rng.standard_normal((8, 150)), axis=1)
    net = ThetaNetClassifier(hidden=5, epochs=5, random_state=0).fit(X, y)
    found = check(html_report(net, X, y).html)
    counts = [int(row[2]) for row in found.table("The commonest confusions")[1:]]
    assert counts == sorted(counts, reverse=True)
    assert len(found.table("Each class")) == 1 + 60  # those that are found least


def test_changed_images_are_told_of_as_they_are_measured(digits):
    net, X, y = digits
    told = []
    found = check(html_report(net, X[:50], y[:50], robust=True, tell=told.append).html)
    rows = found.table("Errors on changed images")[1:]
    assert rows[0][:2] == ["as they are", format_percent(np.mean(net.predict(X[:50]) != y[:50]))]
    assert [f"changed images: {row[0]}" in told for row in rows] == [True] * len(rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shape": (7, 9)}, "shape=\\(7, 9\\)"),
        ({"history": {"accuracy": [0.5]}}, 'no "error"'),
        ({"history": {"error": ["much"]}}, "history"),
        ({"history": {"error": [None, 1.0]}}, "history"),
        ({"history": {"error": [1.0], "accuracy": [1.0, 1.0]}}, "differ in length"),
    ],
)
def test_what_does_not_fit_is_refused(digits, arguments, words):
    net, X, y = digits
    with pytest.raises(InputError, match=words):
        html_report(net, X[:20], y[:20], **arguments)
    with pytest.raises(InputError, match="takes 64"):
        html_report(net, X[:, :9], y)
    flowers = ThetaNetClassifier(hidden=2, epochs=1).fit(*load_iris(return_X_y=True))
    with pytest.raises(InputError, match="give shape"):
        html_report(flowers, *load_iris(return_X_y=True), robust=True)


@pytest.mark.parametrize("rows", [60, 797])
def test_a_source_in_parts_makes_the_report_of_all_samples_at_once(digits, rows):
    net, X, y = digits
    source = array_source(X, y, rows=rows)
    network = net.network_
    whole = html_report(net, X, y, robust=True)
    parts = html_report(network, source, robust=True, history=net.history_)
    assert len(source.parts) == -(-797 // rows)
    assert parts.evaluation.confusion == whole.evaluation.confusion
    pages = [check(report.html) for report in (parts, whole)]
    assert pages[0].tables == pages[1].tables
    images = [[image["src"] for image in page.all("img")] for page in pages]
    assert images[0] == images[1]
    if rows == 797:
        assert parts.html == whole.html


def test_several_labels_a_sample_in_parts():
    X, y = make_multilabel_classification(200, n_features=6, n_classes=3, random_state=0)
    net = ThetaNetClassifier(hidden=5, epochs=20, random_state=0).fit(X, y)
    pages = [check(html_report(net, *of).html) for of in ((X, y), (array_source(X, y, rows=33),))]
    assert pages[0].tables == pages[1].tables


# --- texts of the model -----------------------------------------------------------------------------------

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><h1>",
    "&lt;b&gt; \ud800 \x00 \u202e",
    "x" * 3000,
]


def test_texts_of_the_model_are_shown_and_never_obeyed(tmp_path):
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((60, 3)), np.array(NASTY)
    net = ThetaNetClassifier(hidden=2, epochs=2, random_state=0).fit(X, labels[np.arange(60) % 5])
    replace(net.network_, feature_names=tuple(NASTY[:3])).save(tmp_path / "model")
    known = thetanet.models.model_file.load_model(tmp_path / "model")
    known.training |= {name: name for name in NASTY} | {
        "descent": NASTY[0],
        "seconds": [NASTY[1]],
        "batch_size": True,
    }
    known.scaling["kind"] = NASTY[1]
    about = About(NASTY[0], data=NASTY[1], model=known)
    net = FittedNetwork.from_model(known)  # as the command does
    report = html_report(net, X, labels[np.arange(60) % 5], about)
    size = report.save(tmp_path / "report.html")
    found = check((tmp_path / "report.html").read_text("utf-8"))
    assert size == (tmp_path / "report.html").stat().st_size < 300_000
    assert NASTY[0] in found.text
    assert "x" * 59 + "…" in found.text
    assert "x" * 400 not in found.text


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=20),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())),
    )
)
def test_whatever_a_file_says_of_its_training_can_be_shown(training):
    from thetanet.report.report import _render_training

    class Known:
        pass

    Known.training = training
    for part in _render_training(About(model=Known), {}):
        Page(part)


# --- drawings ---------------------------------------------------------------------------------------------


def test_drawings_take_colours_fonts_and_size_from_the_page():
    from thetanet.plots import plot_rejection

    svg = render_svg(plot_rejection([0.5, 0.9, 0.95], [False, True, True]), "name")
    assert svg.startswith("<svg")
    assert "var(--rust)" in svg
    assert "var(--ink)" in svg
    assert "var(--sans)" in svg
    assert "share of wrong answers among them" in svg  # text, not outlines
    head = svg[: svg.index(">")]
    assert "viewBox" in head
    assert "width=" not in head
    assert svg == render_svg(plot_rejection([0.5, 0.9, 0.95], [False, True, True]), "name")


def test_pixels_become_a_png_dark_on_light():
    import base64

    from PIL import Image

    kind, _, data = render_pixels([[0, 5], [10, 0], [10, 10]]).partition(",")
    assert kind == "data:image/png;base64"
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))
    assert image.tolist() == [[255, 127], [0, 255], [0, 0]]
    render_pixels(np.zeros((2, 2)))
    with pytest.raises(InputError, match="must be"):
        render_pixels([1, 2])


# --- the command ------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_reports_on_the_model_in_the_package(tmp_path, capsys):
    path = tmp_path / "report.html"
    code, out, err = run(capsys, "report", "--out", path, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["report"] == str(path)
    assert told["bytes"] == path.stat().st_size < 2_500_000
    found = check(path.read_text("utf-8"))
    assert f"{told['accuracy']:.2%}" in found.text
    assert told["sha256"] in found.text
    assert told["mistakes"] == len([i for i in found.all("img") if i["alt"].startswith("Sample")]) < 60


def test_the_command_takes_model_data_and_history(digits, tmp_path, capsys):
    net, X, y = digits
    net.save(tmp_path / "a.model")
    np.savez(tmp_path / "digits.npz", X=X[:200], y=y[:200], X_test=X[200:], y_test=y[200:])
    (tmp_path / "train.json").write_text(json.dumps({"history": net.history_}))
    arguments = [
        "report",
        tmp_path / "a.model",
        "--data",
        tmp_path / "digits.npz",
        "--out",
        tmp_path / "r.html",
    ]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert f"report: {tmp_path / 'r.html'}" in out
    html = (tmp_path / "r.html").read_text("utf-8")
    found = check(html)
    assert "Learning curve" not in html
    assert hashlib.sha256((tmp_path / "a.model").read_bytes()).hexdigest() in found.text
    assert f"{len(X) - 200:,} test samples of digits.npz" in found.text
    code, _, _ = run(capsys, *arguments, "--history", tmp_path / "train.json", "--shape", 4, 16)
    assert code == 0
    html = (tmp_path / "r.html").read_text("utf-8")
    assert f"Learning curve, {EPOCHS} epochs" in html
    assert {(i["width"], i["height"]) for i in check(html).all("img") if "width" in i} == {("16", "4")}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["missing.model"], "missing.model"),
        (["--out", "missing/report.html"], "the folder does not exist"),
        (["--history", "odd.json"], "holds no history"),
        (["--history", "bad.json"], "cannot be read as JSON"),
        (["--history", "missing.json"], "cannot be read as JSON"),
        (["--shape", "3", "3"], "shape=(3, 3)"),
        (["--out", "."], "is a folder"),
    ],
)
def test_the_command_refuses_in_one_line(more, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.json").write_text('{"history": [1]}')
    (tmp_path / "bad.json").write_text("{")
    code, out, err = run(capsys, "report", *more)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_what_is_being_done_is_shown_in_a_terminal_if_it_takes_long(monkeypatch):
    for terminal, patience in ((True, 0.0), (True, 60.0), (False, 0.0)):
        shown = io.StringIO()
        monkeypatch.setattr(
            progress, "Console", lambda stderr, s=shown, t=terminal: Console(file=s, force_terminal=t)
        )
        monkeypatch.setattr(progress, "_SOON", patience)
        with progress.show_status() as show:
            show("adding up")
            time.sleep(0.3)
        assert ("adding up" in shown.getvalue()) == (terminal and not patience)


def test_in_a_browser_nothing_is_asked_of_anyone_and_it_fits_a_phone(digits, tmp_path):
    net, X, y = digits
    html_report(net, X, y, robust=True).save(tmp_path / "report.html")
    with browser() as chromium:
        asked, said = [], []
        for width, scheme in ((390, "dark"), (1100, "light")):
            context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            tab = context.new_page()
            tab.on("request", lambda request: asked.append(request.url))
            tab.on("console", lambda message: said.append(message.text))
            tab.goto((tmp_path / "report.html").as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
            paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, re.findall(r"\d+", paper))) > 384) == (scheme == "light")
    assert {url for url in asked if not url.startswith("data:")} == {(tmp_path / "report.html").as_uri()}
    assert said == []


def test_example_in_the_docstring():
    failed, tried = doctest.testmod(thetanet.report.report)
    assert tried > 0
    assert failed == 0
