"""The page in a real browser: nothing fetched, nothing cut off, no errors. Drives the machine's own Chromium."""

import os
import shutil

import pytest

from bench.profile.against import difference
from bench.profile.page import page as profile_page
from bench.profile.page import pictures
from bench.report.write import write_report
from tests.data.records import CPU_RECORD, GPU_RECORD, PARTIAL_RECORD
from tests.profile.made import COMPILED, ON_GPU, PROFILE

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run"]  # fmt: skip
# Elements with text of their own that is wider than they are, or that stick out of the window, unless they are in a
# container that scrolls sideways.
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter(element => {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest(".scroll, details:not([open]) > :not(summary)")) return false;
    const box = element.getBoundingClientRect();
    const hidden = getComputedStyle(element).overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1;
    return hidden || box.left < -0.5 || box.right > document.documentElement.clientWidth + 0.5;
}).map(element => element.outerHTML.slice(0, 120))"""
# A container that scrolls shows its right end when scrolled there, whatever its size.
UNREACHABLE = """() => [...document.querySelectorAll(".scroll")].filter(box => {
    if (box.clientWidth === 0) return false;  // in closed details
    box.scrollLeft = box.scrollWidth;
    const end = box.firstElementChild.getBoundingClientRect().right;
    box.scrollLeft = 0;
    return end > box.getBoundingClientRect().right + 1;
}).length"""
SVG_TEXT_OUTSIDE = """() => [...document.querySelectorAll("svg")].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].filter(text => {
        const box = text.getBoundingClientRect();
        return box.width === 0 || box.left < frame.left - 1 || box.right > frame.right + 1
            || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    }).map(text => text.textContent);
})"""
OVERLAPPING_TICKS = """() => [...document.querySelectorAll("svg [id*='axis_']")].flatMap(axis => {
    const boxes = [...axis.querySelectorAll("[id*='tick_'] text")].map(text => text.getBoundingClientRect());
    return boxes.slice(1).filter((box, index) => {
        const before = boxes[index];
        return box.left < before.right && before.left < box.right && box.top < before.bottom && before.top < box.bottom;
    });
}).length"""


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
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    made = {}
    for name, records in {"both": [CPU_RECORD, GPU_RECORD], "partial": [PARTIAL_RECORD]}.items():
        folder = tmp_path_factory.mktemp(name)
        write_report(records, folder)
        made[name] = (folder / "report.html").as_uri()
    for name, found in {"profile": COMPILED, "difference": ON_GPU}.items():
        file = tmp_path_factory.mktemp(name) / "profile.html"
        against = difference(PROFILE, found) if name == "difference" else None
        file.write_text(profile_page(found, against, pictures(found)), "utf-8")
        made[name] = file.as_uri()
    return made


@pytest.fixture
def opened(browser, pages, request):
    """The page at a width and in a colour scheme, with what it asked for and what went wrong."""
    name, width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.asked, page.errors = [], []
    page.on("request", lambda sent: page.asked.append(sent.url))
    page.on("console", lambda message: page.errors.append(message.text))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(pages[name])
    yield page
    page.close()


NAMES = ("both", "partial", "profile", "difference")
EVERY = [(name, width, scheme) for name in NAMES for width in (1280, 400) for scheme in ("light", "dark")]


@pytest.mark.parametrize("opened", EVERY, indirect=True, ids=lambda one: "-".join(map(str, one)))
def test_the_page_is_whole(opened):
    width = opened.viewport_size["width"]
    assert opened.errors == []
    assert [url for url in opened.asked if not url.startswith(("file://", "data:"))] == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.evaluate(CUT_OFF) == []
    assert opened.evaluate(UNREACHABLE) == 0
    assert opened.evaluate(SVG_TEXT_OUTSIDE) == []
    assert opened.evaluate(OVERLAPPING_TICKS) == 0
    for figure in opened.query_selector_all("svg"):
        box = figure.bounding_box()
        assert box["width"] >= min(width, 600) - 60
        assert box["height"] > 30


@pytest.mark.parametrize("opened", [("both", 1280, "light")], indirect=True)
def test_a_number_leads_to_its_command(opened):
    opened.click("#steps td a >> nth=0")
    target = opened.url.partition("#")[2]
    assert target == "r0-step-cpu-b1-fp32"
    assert "--batch 1 " in opened.inner_text(f"[id='{target}'] + tr code")
    elsewhere = opened.locator("#epochs .caption:has-text('elsewhere') + .scroll td a").first
    elsewhere.click()
    assert opened.locator(f"[id='{opened.url.partition('#')[2]}']").is_visible()  # its details have opened


@pytest.mark.parametrize("opened", [("both", 1280, "dark")], indirect=True)
def test_plots_follow_the_colour_scheme(opened):
    colour = "getComputedStyle(document.querySelector('svg text')).fill"
    dark = opened.evaluate(colour)
    opened.emulate_media(color_scheme="light")
    assert opened.evaluate(colour) != dark
