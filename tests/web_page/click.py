#!/usr/bin/env python3
"""Opens the page of `web:` in headless Chromium, clicks through it and takes pictures of it.

    tests/web_page/click.py ADDRESS [FOLDER]

ADDRESS is the page's, with its token if it has one. The pictures go to FOLDER, if it is given. Wants a page whose program
shows pictures once it is sent the label "begin", answers a list of labels with that list and a request for a caption with a
new caption within ten seconds, and goes away at the label "end", as tests/web_page does: `cargo test --test web_page` runs the two together.

Ends with status 77, and says so, if there is no Chromium.
"""

import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from browser import browser_tab


def wait_for_a_picture(browser):
    """Before the camera gives one, the page says so and shows no picture."""
    browser.wait_for("document.getElementById('state')?.textContent === 'live'")
    assert browser.value("document.getElementById('none').textContent") == "No picture yet"
    assert browser.value("document.getElementById('picture').hidden && !document.getElementById('waiting').hidden")
    browser.value("post('labels', {labels: ['begin']})")
    browser.wait_for_view()
    assert browser.value("document.getElementById('waiting').hidden && document.getElementById('none').hidden")


def edit_labels(browser):
    browser.value("document.getElementById('vocabulary').focus()")
    browser.value("document.getElementById('vocabulary').select()")
    browser.call("Input.insertText", text="zebra,  giraffe \n\nzebra")
    assert not browser.value("document.getElementById('apply').disabled")
    browser.click("apply")
    browser.wait_for("document.getElementById('told').textContent.includes('sent')")
    browser.wait_for("document.getElementById('vocabulary').value === 'zebra\\ngiraffe'")
    browser.wait_for("[...document.querySelectorAll('#labels .name')].some(e => e.textContent === 'zebra')")


def refuse_an_empty_list(browser):
    browser.value("document.getElementById('vocabulary').focus()")
    browser.value("document.getElementById('vocabulary').select()")
    browser.call("Input.insertText", text=" ")
    browser.click("apply")
    browser.wait_for("document.getElementById('told').textContent.includes('at least one label')")
    browser.click("undo")
    assert browser.value("document.getElementById('vocabulary').value") == "zebra\ngiraffe"


def ask_for_a_caption(browser):
    before = browser.value("document.querySelectorAll('#history li').length")
    browser.click("ask")
    browser.wait_for(f"document.querySelectorAll('#history li').length > {before}")
    browser.wait_for("!document.getElementById('ask').disabled")
    newest = browser.value("document.querySelector('#history span').textContent")
    assert newest == browser.value("document.getElementById('caption').textContent")
    browser.wait_for("/^of frame \\d+, \\d+ frames? ago$/.test(document.getElementById('age').textContent)")


def look_on_all_screens(browser, folder):
    for name, width, height, scale, mobile in [("desktop", 1280, 900, 1, False), ("phone", 390, 844, 2, True)]:
        for scheme in ["light", "dark"]:
            browser.screen(width, height, scale, mobile, scheme)
            time.sleep(0.3)
            wide = browser.value("document.documentElement.scrollWidth")
            assert wide <= width, f"{name}: the page is {wide} pixels wide on a screen of {width}"
            low = browser.value("Math.min(...[...document.querySelectorAll('button')].map(b => b.getBoundingClientRect().height))")
            assert low >= 44, f"{name}: a button is only {low} pixels high"
            if mobile:
                top = "Math.round(document.getElementById('{}').getBoundingClientRect().top + scrollY)".format
                editor, history = browser.value(top("look")), browser.value(top("written"))
                assert editor < 1.5 * height and editor < history, f"{name}: the editor begins at {editor}, captions at {history}"
            if folder:
                browser.photograph(folder / f"{name}-{scheme}.png")


def lose_the_server(browser):
    """What is shown is told from what is seen now, and nothing can be asked for."""
    browser.value("post('labels', {labels: ['end']})")
    browser.wait_for("document.body.classList.contains('gone')")
    assert browser.value("document.getElementById('state').textContent").startswith("no answer")
    assert "does not answer" in browser.value("document.getElementById('message').textContent")
    assert browser.value("!document.getElementById('message').hidden && document.getElementById('ask').disabled")
    assert browser.value("document.getElementById('rate').textContent") == "–"
    browser.value("document.getElementById('vocabulary').value = 'owl'")
    browser.value("showEdited()")
    assert browser.value("document.getElementById('apply').disabled")


def check_what_went_wrong(browser, origin):
    """Nothing was logged, nothing was thrown, and nothing was asked of anybody else."""
    for event in browser.events:
        parameters = event.get("params", {})
        assert event["method"] != "Runtime.exceptionThrown", parameters
        if event["method"] == "Log.entryAdded":
            entry = parameters["entry"]
            # The refusal of the empty list is the test's own doing.
            assert "422" in entry["text"], entry
        if event["method"] == "Network.requestWillBeSent":
            asked = parameters["request"]["url"]
            assert asked.startswith((origin, "blob:", "data:")), asked


def main():
    address = sys.argv[1]
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    parts = urlsplit(address)
    with browser_tab() as browser:
        browser.screen(1280, 900, 1, False, "light")
        browser.call("Page.navigate", url=address)
        wait_for_a_picture(browser)
        edit_labels(browser)
        refuse_an_empty_list(browser)
        ask_for_a_caption(browser)
        look_on_all_screens(browser, folder)
        browser.value("1")
        check_what_went_wrong(browser, f"{parts.scheme}://{parts.netloc}/")
        lose_the_server(browser)
    print("the page does what it should")


if __name__ == "__main__":
    main()
