"""The page in a real browser: what people see and do, and that its numbers are those of Python."""

import json
from pathlib import Path

import numpy as np
import pytest

import thetanet
from serving import ONE, SEVEN, ZERO, Visit, server
from thetanet import Theta, error, error_and_gradient, forward, load_mnist
from thetanet.images.frame import to_mnist_frame
from thetanet.models.pretrained import load_pretrained_model

VIEWS = ["forward", "backward", "train", "mistakes", "blind-spots", "read-a-picture"]
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"


@pytest.fixture(scope="module")
def theta():
    """The network of the page in Python: for pixels from 0 to 1."""
    shipped = load_pretrained_model().theta
    scaled = Theta(shipped.one.astype(np.float64), shipped.two.astype(np.float64))
    scaled.W1[...] *= 255
    return scaled


@pytest.mark.parametrize(("digit", "strokes"), [("7", SEVEN), ("1", ONE), ("0", ZERO)])
def test_a_digit_drawn_with_the_mouse_is_recognised(visit, digit, strokes):
    visit.draw(strokes)
    assert visit.answer() == digit
    visit.page.click("#undo")
    visit.page.wait_for_timeout(100)
    assert visit.answer() == "–"


def test_the_frame_is_that_of_the_picture_reader(visit):
    for strokes in (
        SEVEN,
        ONE,
        ZERO,
        [*SEVEN, [(20, 250), (21, 251)]],
        [[(60, 30), (250, 250)], [(70, 200), (90, 60)]],
    ):
        visit.draw(strokes)
        ink = visit.page.evaluate(
            "() => Array.from(document.getElementById('canvas').getContext('2d')"
            ".getImageData(0, 0, 280, 280).data.filter((_, p) => p % 4 === 3),"
            " (v) => String.fromCharCode(v)).join('')"
        )
        expected = to_mnist_frame(np.frombuffer(ink.encode("latin-1"), np.uint8).reshape(280, 280))
        seen = visit.numbers()["X"].reshape(28, 28) * 255
        assert np.abs(seen - expected).max() <= 1


def test_every_number_is_that_of_python(visit, theta):
    page = visit.page
    visit.draw(SEVEN)
    visit.choose("backward")
    page.locator("input[name=target]").nth(2).check()
    shown = visit.numbers()
    X, L = shown["X"], np.eye(10)[2]
    A1, Z, A2, Y = forward(theta, X)
    E, gradient = error_and_gradient(theta, X, L)
    for name, expected in {"A1": A1, "Z": Z, "A2": A2, "Y": Y, "L": L, "E": E}.items():
        np.testing.assert_allclose(shown[name], expected, rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(shown["delta3"], gradient.b2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shown["delta2"], gradient.b1, rtol=1e-9, atol=1e-12)

    # What is written on the page, in as many digits as are shown.
    assert f"= {E:.6f}" in page.inner_text("#backward .formula >> nth=0")
    for layer, row, column, expected in (
        (1, 0, 5, gradient.one[0, 5]), (1, 407, 12, gradient.one[407, 12]), (2, 0, 7, gradient.two[0, 7]),
        (2, 33, 2, gradient.two[33, 2]), (2, 800, 7, gradient.two[800, 7]),
    ):  # fmt: skip
        page.select_option("#weight-layer", str(layer))
        page.fill("#weight-row", str(row))
        page.fill("#weight-column", str(column))
        page.press("#weight-column", "Enter")
        page.locator("#weight-row").blur()
        found = page.evaluate("() => ({ ...document.getElementById('derivative').dataset })")
        assert float(found["analytic"]) == pytest.approx(expected, rel=1e-5, abs=1e-12)
        assert float(found["numeric"]) == pytest.approx(expected, rel=1e-5, abs=1e-7)

    page.fill("#rate", "0.02")
    page.click("#step")
    page.wait_for_timeout(200)
    after = Theta.zeros(784, theta.D_H, 10)
    after.flat[...] = theta.flat - 0.02 * gradient.flat
    expected = error(after, X, L)
    assert expected < E
    assert visit.numbers()["E"] == pytest.approx(expected, rel=1e-9)
    assert page.inner_text("#error-history") == f"E: {E:.6f} → {expected:.6f}"
    rows = [0, 1, 400, 407, 784]
    one = page.evaluate(
        "(rows) => rows.map((i) => Array.from(thetanet.state.network.one.slice(i * thetanet.state.info.D_H,"
        " (i + 1) * thetanet.state.info.D_H)))",
        rows,
    )
    np.testing.assert_allclose(one, after.one[rows], rtol=1e-9, atol=1e-12)
    page.click("#step-back")
    page.wait_for_timeout(200)
    assert visit.numbers()["E"] == pytest.approx(E, rel=1e-12)

    visit.choose("forward")
    bars = page.locator("#forward [aria-label='outputs Y'] .value").all_inner_texts()
    for text, expected in zip(bars, Y, strict=True):
        assert float(text.replace("−", "-")) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_numbers_can_be_taken_away_as_json(visit, theta):
    visit.draw(ONE)
    with visit.page.expect_download() as download:
        visit.page.click("#numbers")
    found = json.loads(Path(download.value.path()).read_text())
    np.testing.assert_allclose(found["Y"], forward(theta, np.array(found["X"])).Y, rtol=1e-9, atol=1e-12)


def test_a_training_starts_and_its_curve_grows(visit):
    page = visit.page
    visit.choose("train")
    page.fill("input[name=epochs]", "600")
    page.fill("input[name=hidden]", "30")
    page.click("#start")

    def epoch():
        page.wait_for_selector("#run-state:has-text('· epoch')", timeout=60_000)
        return int(page.inner_text("#run-state").split("epoch ")[1].split()[0])

    first = epoch()
    drawn = "() => document.querySelector('.chart canvas').toDataURL()"
    page.wait_for_selector(".chart canvas")
    curve = page.evaluate(drawn)
    page.wait_for_timeout(800)
    assert epoch() > first
    assert page.evaluate(drawn) != curve
    page.wait_for_selector("#run-state:has-text('done')", timeout=60_000)
    assert epoch() == 600
    page.wait_for_selector("#run-state:has-text('test')", timeout=10_000)
    assert page.locator(".chart canvas").count() == 1
    assert page.inner_text("#trainings tbody th") == "1"
    colours = page.evaluate(
        "() => new Set(document.querySelector('#train .mosaic canvas').getContext('2d')"
        ".getImageData(0, 0, 28, 28).data).size"
    )
    assert colours > 20  # the first hidden unit is there
    page.click("#keep")
    page.wait_for_selector("#model:has-text('30 hidden units')")
    page.click("text=Back to the first network")
    page.wait_for_selector("#model:has-text('1850 hidden units')")


def test_pause_stop_and_a_second_training_at_once(visit):
    page = visit.page
    visit.choose("train")
    page.fill("input[name=epochs]", "1000")
    page.fill("input[name=hidden]", "400")
    page.click("#start")
    page.wait_for_selector("#run-state:has-text('running · epoch')", timeout=60_000)
    page.click("#pause")
    page.wait_for_selector("#run-state:has-text('paused')")
    status = page.evaluate(
        "() => fetch('api/trainings', {method: 'POST', headers: {'content-type': 'application/json'},"
        " body: '{}'}).then((a) => a.status)"
    )
    assert status == 409
    visit.problems.clear()  # that one was meant
    page.click("#pause")
    page.wait_for_selector("#run-state:has-text('running')")
    page.click("#stop")
    page.wait_for_selector("#run-state:has-text('stopped')", timeout=10_000)


def test_mistakes_are_shown_and_loaded(visit):
    page = visit.page
    visit.choose("mistakes")
    page.wait_for_selector("#mistakes .gallery button")
    shown = page.inner_text("#mistakes section >> nth=0")
    model = thetanet.load_pretrained()
    X, y = load_mnist()[2:]
    wrong = int(np.sum(model.predict(X[:1000]) != y[:1000]))
    assert f"{wrong} of 1,000 wrong" in shown
    assert page.locator("#mistakes .gallery button").count() == wrong
    first = page.locator("#mistakes .gallery button").first
    name = first.inner_text()
    first.click()
    assert visit.answer() == name.split("taken for ")[1][0]
    row = int(page.inner_text("#loaded").split("image ")[1].split(":")[0])
    np.testing.assert_allclose(visit.numbers()["X"] * 255, X[row], atol=1e-9)
    assert visit.numbers()["L"].argmax() == y[row]


def test_a_small_change_flips_the_answer_and_ascent_climbs(visit):
    page = visit.page
    visit.draw(SEVEN)
    visit.choose("blind-spots")
    page.select_option("#flip-to", "2")
    page.click("#flip")
    assert "turns 7 into 2" in page.inner_text("#flip-text")
    page.click("#blind-spots button:has-text('Look at it') >> nth=1")
    page.wait_for_timeout(100)
    assert visit.answer() == "2"
    page.select_option("#excite", "output-3")
    page.click("text=Climb from grey")
    page.wait_for_selector("#blind-spots .formula:has-text('step 90')", timeout=20_000)
    assert "the answer: 3" in page.inner_text("#blind-spots .formula")


def test_a_picture_that_is_uploaded_is_read(visit, tmp_path):
    from PIL import Image

    X = load_mnist()[2]
    rows = [0, 1, 3, 2]  # 7 2 0 1
    sheet = np.full((120, 60 + 56 * len(rows)), 245, np.uint8)
    for n, row in enumerate(rows):
        digit = np.kron(X[row].reshape(28, 28), np.ones((2, 2))).astype(int)
        sheet[32:88, 30 + 56 * n : 86 + 56 * n] = np.clip(245 - digit, 20, 245)
    Image.fromarray(sheet).save(tmp_path / "number.png")
    visit.choose("read-a-picture")
    visit.page.set_input_files("#file", tmp_path / "number.png")
    visit.page.wait_for_selector("#numbers-read:has-text('7')", timeout=20_000)
    assert visit.page.inner_text("#numbers-read").replace(" ", "") == "7201"
    assert visit.page.locator("#read-a-picture .gallery button").count() == 4
    visit.page.locator("#read-a-picture .gallery button").nth(2).click()
    assert visit.answer() == "0"


def test_what_is_no_picture_gets_a_message(visit, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    visit.choose("read-a-picture")
    visit.page.set_input_files("#file", tmp_path / "text.png")
    visit.page.wait_for_selector("#read-a-picture .message:has-text('not a picture')")
    assert len(visit.problems) == 2, visit.problems  # the answer 422, as a response and in the console
    visit.problems.clear()


def reach(page, selector, key="Tab", most=120):
    """Press a key until an element has the focus."""
    for _ in range(most):
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{selector} cannot be reached by {key}")


def test_all_but_drawing_can_be_done_by_keyboard(visit):
    page = visit.page
    reach(page, "#example")
    page.keyboard.press("Enter")
    page.wait_for_selector("#loaded:has-text('test image 0')")
    assert visit.answer() == "7"
    reach(page, "[role=tab]")
    page.keyboard.press("ArrowRight")
    assert page.locator("#backward").is_visible()
    reach(page, "input[name=target]")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    reach(page, "#step")
    page.keyboard.press("Enter")
    page.wait_for_selector("#error-history:has-text('→')")
    reach(page, "#backward .strip")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#weight-layer") == "2"
    reach(page, "#unchange", "Shift+Tab")
    page.keyboard.press("Enter")
    reach(page, "[role=tab]")
    page.keyboard.press("ArrowRight")
    reach(page, "input[name=epochs]")
    page.keyboard.type("2")
    reach(page, "#start")
    page.keyboard.press("Enter")
    page.wait_for_selector("#run-state:has-text('done')", timeout=60_000)
    reach(page, "[role=tab]", "Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#mistakes .gallery button")
    reach(page, "#mistakes .gallery button")
    page.keyboard.press("Enter")
    assert "taken for" in page.inner_text("#loaded")
    reach(page, "[role=tab]", "Shift+Tab")
    page.keyboard.press("ArrowRight")
    reach(page, "#flip")
    page.keyboard.press("Enter")
    assert "turns" in page.inner_text("#flip-text")
    reach(page, "[role=tab]", "Shift+Tab")
    page.keyboard.press("End")
    reach(page, "#file")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible_in_every_view(chromium, served, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    visit = Visit(chromium, served.address, color_scheme=theme)
    visit.draw(SEVEN)
    for view in VIEWS:
        visit.choose(view)
        if view == "mistakes":
            visit.page.wait_for_selector("#mistakes .gallery button")
        found = [
            (v["id"], v["impact"], [n["html"][:120] for n in v["nodes"][:3]])
            for v in axe.run(visit.page).response["violations"]
            if v["impact"] in ("serious", "critical")
        ]
        assert found == [], view
    visit.context.close()
    assert visit.problems == []


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "light"), (1280, "dark")])
def test_fits_narrow_and_wide_screens(chromium, served, width, theme):
    """Nothing is cut off; the pictures in build/screenshots are for people to look at."""
    visit = Visit(chromium, served.address, color_scheme=theme, viewport={"width": width, "height": 844},
                  has_touch=width < 500)  # fmt: skip
    visit.draw(SEVEN)
    SHOTS.mkdir(parents=True, exist_ok=True)
    for view in VIEWS:
        visit.choose(view)
        if view == "mistakes":
            visit.page.wait_for_selector("#mistakes .gallery button")
        assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= width, view
        small = visit.page.evaluate(
            "() => [...document.querySelectorAll('button, select, input')].filter((e) => e.offsetParent"
            " && e.type !== 'radio' && e.type !== 'checkbox' && e.getBoundingClientRect().height < 24)"
            ".map((e) => e.outerHTML)"
        )
        assert small == []
        visit.page.screenshot(path=SHOTS / f"{view}-{width}-{theme}.png", full_page=True)
    visit.context.close()
    assert visit.problems == []


def test_a_finger_draws(chromium, served):
    visit = Visit(chromium, served.address, viewport={"width": 390, "height": 844}, has_touch=True)
    box = visit.page.locator("#canvas").bounding_box()
    visit.page.touchscreen.tap(box["x"] + 100, box["y"] + 100)
    visit.page.wait_for_timeout(150)
    assert visit.answer() != "–"
    visit.context.close()


def test_the_page_comes_back_after_the_server_does(chromium, data_file):
    with server(data_file) as first:
        visit = Visit(chromium, first.address)
        page = visit.page
        visit.choose("train")
        page.fill("input[name=epochs]", "1000")
        page.fill("input[name=hidden]", "200")
        page.click("#start")
        page.wait_for_selector("#run-state:has-text('running · epoch')", timeout=60_000)
        assert first.end() == 0
    page.wait_for_selector("#connection:has-text('does not answer')", timeout=10_000)
    with server(data_file, port=first.port):
        page.wait_for_selector("#connection:empty", timeout=15_000, state="attached")
        page.wait_for_selector("#trainings tbody th:has-text('earlier 1')", timeout=15_000)
        page.fill("input[name=epochs]", "2")
        page.click("#start")
        page.wait_for_selector("#run-state:has-text('Training 1: done')", timeout=60_000)
        visit.draw(SEVEN)
        assert visit.answer() == "7"
        visit.context.close()


def test_the_page_is_light():
    page = Path(thetanet.__file__).parent / "web" / "page"
    assert sum(path.stat().st_size for path in page.rglob("*") if path.is_file()) < 400_000


def test_steps_are_undone_exactly_and_a_rate_that_is_too_high_changes_nothing(visit):
    page = visit.page
    visit.draw(SEVEN)
    visit.choose("backward")
    page.locator("input[name=target]").nth(2).check()
    E = visit.numbers()["E"]
    page.click("text=Ten steps")
    page.click("#step")
    page.wait_for_timeout(100)
    assert "11 steps" in page.inner_text("#changed")
    lower = visit.numbers()["E"]
    assert lower < E
    page.fill("#rate", "1e308")
    page.click("#step")
    page.wait_for_timeout(100)
    assert "smaller rate" in page.inner_text("#error-history")
    assert visit.numbers()["E"] == lower
    page.fill("#rate", "0")
    page.click("#step")
    assert "above 0" in page.inner_text("#error-history")
    for _ in range(11):
        page.click("#step-back")
    page.wait_for_timeout(100)
    assert visit.numbers()["E"] == E
    assert not page.locator("#changed").is_visible()


def test_one_page_follows_what_another_chooses(chromium, served):
    one, two = (Visit(chromium, served.address) for _ in range(2))
    one.choose("train")
    one.page.fill("input[name=epochs]", "1")
    one.page.fill("input[name=hidden]", "7")
    one.page.click("#start")
    one.page.wait_for_selector("#run-state:has-text('done')", timeout=60_000)
    one.page.click("#keep")
    two.page.wait_for_selector("#model:has-text('7 hidden units')", timeout=10_000)
    one.page.click("text=Back to the first network")
    two.page.wait_for_selector("#model:has-text('1850 hidden units')", timeout=10_000)
    for visit in (one, two):
        visit.context.close()
        assert visit.problems == []


def test_a_browser_that_keeps_nothing(chromium, served):
    context = chromium.new_context()
    page = context.new_page()
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage',"
        " { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    page.goto(served.address)
    page.wait_for_selector("#model:has-text('hidden units')")
    page.click("#theme")
    context.close()
