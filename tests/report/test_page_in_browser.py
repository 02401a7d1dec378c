"""The page in a real browser: nothing fetched, nothing cut off, no errors. Drives the machine's own Chromium."""

import itertools
import os
import shutil

import pytest

from bench.profile.against import difference
from bench.profile.page import page as profile_page
from bench.profile.page import pictures
from bench.report.page import page
from bench.report.plots import plots
from tests.profile.made import COMPILED, ON_GPU, PROFILE
from tests.report.made import LARGE

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIMIT_MILLISECONDS = 300_000  # of what has hung, and never of what is slow
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run"]  # fmt: skip
# What must not be on a page, by name: the list of what is there all the same.
FAULTS = {
    "wider than the window": """() => document.documentElement.scrollWidth > innerWidth
        ? [document.documentElement.scrollWidth] : []""",
    # Elements with text of their own that is wider than they are, or that stick out of the window, unless they are in
    # a container that scrolls sideways.
    "cut off": """() => [...document.querySelectorAll("body *")].filter(element => {
        const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (!own || element.closest(".scroll, details:not([open]) > :not(summary)")) return false;
        const box = element.getBoundingClientRect();
        const hidden = getComputedStyle(element).overflowX !== "visible"
            && element.scrollWidth > element.clientWidth + 1;
        return hidden || box.left < -0.5 || box.right > document.documentElement.clientWidth + 0.5;
    }).map(element => element.outerHTML.slice(0, 120))""",
    # A container that scrolls shows its right end when scrolled there, whatever its size.
    "out of reach": """() => [...document.querySelectorAll(".scroll")].filter(box => {
        if (box.clientWidth === 0) return false;  // in closed details
        box.scrollLeft = box.scrollWidth;
        const end = box.firstElementChild.getBoundingClientRect().right;
        box.scrollLeft = 0;
        return end > box.getBoundingClientRect().right + 1;
    }).map(element => element.outerHTML.slice(0, 120))""",
    "text outside of its plot": """() => [...document.querySelectorAll("svg")].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll("text")].filter(text => {
            const box = text.getBoundingClientRect();
            return box.width === 0 || box.left < frame.left - 1 || box.right > frame.right + 1
                || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
        }).map(text => text.textContent);
    })""",
    "ticks over each other": """() => [...document.querySelectorAll("svg [id*='axis_']")].flatMap(axis => {
        const texts = [...axis.querySelectorAll("[id*='tick_'] text")];
        const boxes = texts.map(text => text.getBoundingClientRect());
        return texts.slice(1).filter((_, index) => {
            const [before, box] = [boxes[index], boxes[index + 1]];
            return box.left < before.right && before.left < box.right
                && box.top < before.bottom && before.top < box.bottom;
        }).map(text => text.textContent);
    })""",
    "plots too small to read": """() => [...document.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect())
        .filter(box => box.width < Math.min(innerWidth, 600) - 60 || box.height <= 30)
        .map(box => [box.width, box.height])""",
}


@pytest.fixture(scope="module")
def browser():
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        reason = f"none of {', '.join(BROWSERS)} is on the PATH"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, timeout=LIMIT_MILLISECONDS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(report, tmp_path_factory):
    """Where the page of a name lies, made when it is asked for."""
    drawn = pictures(PROFILE)  # the same for all that is made of it
    makers = {
        "large": lambda: page(LARGE, plots(LARGE)),
        "profile": lambda: profile_page(COMPILED, None, drawn),
        "difference": lambda: profile_page(ON_GPU, difference(PROFILE, ON_GPU), drawn),
    }

    def make(name):
        if name == "small":
            return (report / "report.html").as_uri()
        file = tmp_path_factory.mktemp(name) / "page.html"
        file.write_text(makers[name](), "utf-8")
        return file.as_uri()

    return make


@pytest.fixture(scope="module")
def opened(browser, pages, request):
    """The page of a name, with what it asked for and what went wrong."""
    page = browser.new_page()
    page.set_default_timeout(LIMIT_MILLISECONDS)
    page.asked, page.errors = [], []
    page.on("request", lambda sent: page.asked.append(sent.url))
    page.on("console", lambda message: page.errors.append(message.text))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(pages(request.param))
    yield page
    page.close()


def seen(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)


@pytest.mark.parametrize("opened", ["small", "large", "profile", "difference"], indirect=True)
def test_the_page_is_whole(opened):
    for width, scheme in itertools.product((1280, 400), ("light", "dark")):
        seen(opened, width, scheme)
        faults = {what: opened.evaluate(script) for what, script in FAULTS.items()}
        assert faults == {what: [] for what in FAULTS}, f"at {width} in {scheme}"
    assert opened.errors == []
    assert opened.asked
    assert [url for url in opened.asked if not url.startswith(("file://", "data:"))] == []


@pytest.mark.parametrize("opened", ["small"], indirect=True)
def test_a_number_leads_to_its_command(opened):
    seen(opened, 1280, "light")
    opened.click("#steps td a >> nth=0")
    target = opened.url.partition("#")[2]
    assert target == "r0-step-cpu-b64-fp32"
    assert "--device cpu --batch 64 --precision fp32 " in opened.inner_text(f"[id='{target}'] + tr code")
    elsewhere = opened.locator("#epochs .caption:has-text('elsewhere') + .scroll td a").first
    elsewhere.click()
    assert opened.locator(f"[id='{opened.url.partition('#')[2]}']").is_visible()  # its details have opened


@pytest.mark.parametrize("opened", ["small"], indirect=True)
def test_plots_follow_the_colour_scheme(opened):
    colour = "getComputedStyle(document.querySelector('svg text')).fill"
    seen(opened, 1280, "light")
    light = opened.evaluate(colour)
    seen(opened, 1280, "dark")
    assert opened.evaluate(colour) != light
