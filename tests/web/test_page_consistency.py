"""What the page shows stays true: undo, another theme, a second tab, a server whose first answer fails."""

import numpy as np

from serving import ONE, SEVEN, Visit

SHOWN = """() => {
  const { data } = document.getElementById("canvas").getContext("2d").getImageData(0, 0, 280, 280);
  const ink = Float64Array.from({ length: 280 * 280 }, (_, p) => data[4 * p + 3] / 255);
  return Array.from(thetanet.toFrame(ink, 280, 280), (v) => v / 255);
}"""


def test_what_is_computed_is_what_is_drawn_after_undo_and_in_another_theme(visit):
    page = visit.page
    visit.draw(SEVEN)
    seven = visit.numbers()["X"]
    np.testing.assert_allclose(page.evaluate(SHOWN), seven)
    page.click("#theme")
    np.testing.assert_allclose(page.evaluate(SHOWN), seven)
    visit.draw([*SEVEN, *ONE])
    assert np.abs(visit.numbers()["X"] - seven).max() > 0.5
    page.click("#undo")
    page.wait_for_timeout(100)
    np.testing.assert_array_equal(visit.numbers()["X"], seven)


def test_an_image_that_is_loaded_right_after_a_stroke_stays(visit):
    visit.page.evaluate("() => thetanet.load(new Uint8Array(784).fill(9), null, 'grey')")
    visit.draw(SEVEN)
    visit.page.evaluate("""() => {
      document.getElementById("undo").click();
      thetanet.load(Uint8Array.from({ length: 784 }, (_, p) => p % 200), null, "a pattern");
    }""")
    visit.page.wait_for_timeout(100)
    np.testing.assert_allclose(visit.numbers()["X"], np.arange(784) % 200 / 255)
    assert visit.page.inner_text("#loaded") == "a pattern"


def test_a_change_that_flips_the_answer_does_so_in_whole_grey_levels(visit):
    """Else the drawing that is looked at may have another answer than was said."""
    found = visit.page.evaluate("""async () => {
      const { flip } = await import("./views/blind.js"), { network } = thetanet.state;
      const answer = (pixels) => {
        const { Y } = network.forward(Float64Array.from(pixels, (v) => v / 255));
        return Y.indexOf(Math.max(...Y));
      };
      const rows = Array.from({ length: 40 }, (_, n) => n);
      const images = new Uint8Array(await (await fetch(`api/test-images?rows=${rows}`)).arrayBuffer());
      return rows.map((n) => {
        const pixels = images.slice(784 * n, 784 * (n + 1)), target = (answer(pixels) + 1 + (n % 9)) % 10;
        const changed = flip(network, Float64Array.from(pixels, (v) => v / 255), target);
        return answer(Uint8Array.from(changed, (v) => Math.round(255 * v))) === target;
      });
    }""")
    assert found == [True] * 40


def test_the_page_comes_alive_after_a_first_answer_that_failed(chromium, served):
    context = chromium.new_context()
    page, asked = context.new_page(), []

    def stumble(route):
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=503, json={"detail": "busy"})
        else:
            route.continue_()

    page.route("**/api/model", stumble)
    page.goto(served.address)
    page.wait_for_selector("#model:has-text('busy')")
    page.wait_for_selector("#model:has-text('hidden units')", timeout=10_000)
    page.click("#example")
    page.wait_for_selector("#loaded:has-text('test image 0')")
    assert page.inner_text("#answer .digit") == "7"
    context.close()


def test_a_second_page_learns_of_a_training_that_it_cannot_start(chromium, served):
    one, two = (Visit(chromium, served.address) for _ in range(2))
    for visit in (one, two):
        visit.choose("train")
    one.page.fill("input[name=epochs]", "1000")
    one.page.click("#start")
    one.page.wait_for_selector("#run-state:has-text('running')", timeout=60_000)
    two.page.click("#start")
    two.page.wait_for_selector("#train .message:has-text('stop it')")
    two.page.wait_for_selector("#run-state:has-text('running')")
    two.page.click("#stop")
    one.page.wait_for_selector("#run-state:has-text('stopped')", timeout=10_000)
    two.page.wait_for_selector("#run-state:has-text('stopped')", timeout=10_000)
    assert any("409" in problem for problem in two.problems)
    for visit in (one, two):
        visit.context.close()
    assert one.problems == []
