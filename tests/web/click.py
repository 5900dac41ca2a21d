#!/usr/bin/env python3
"""Opens the page of `web:` in headless Chromium, clicks through it and takes pictures of it.

    tests/web/click.py ADDRESS [FOLDER]

ADDRESS is the page's, with its token if it has one. The pictures go to FOLDER, if it is given. Wants a page whose program
answers a list of labels with that list and a request for a caption with a new caption within ten seconds, as
tests/web_page.rs does: `cargo test --test web_page` runs the two together.

Needs Python 3.9 and Chromium (Debian: `apt install chromium`), or $CHROMIUM naming it; nothing else. Ends with status 77, and says
so, if there is no Chromium.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

SKIPPED = 77
# Seconds for the page to do one thing, and for everything.
PATIENCE = 60
WHOLE_PATIENCE = 300
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
]


class Browser:
    """Chromium, spoken to in the DevTools protocol: JSON ended by a zero byte, on its file descriptors 3 and 4."""

    def __init__(self, program, profile):
        to_browser, self.output = os.pipe()
        self.input, from_browser = os.pipe()
        command = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        arguments = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", command, *arguments], pass_fds=[to_browser, from_browser],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.received, self.events, self.last, self.session = b"", [], 0, None

    def call(self, method, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def receive(self):
        while b"\0" not in self.received:
            more = os.read(self.input, 1 << 20)
            if not more:
                raise RuntimeError("Chromium went away")
            self.received += more
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)

    def open_tab(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_for(self, expression):
        end = time.monotonic() + PATIENCE
        while not self.value(expression):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {expression}; the page says: {self.value('document.body.innerText')}")
            time.sleep(0.1)

    def click(self, identifier):
        """A click in the middle of an element, as a hand would do it."""
        self.value(f"document.getElementById('{identifier}').scrollIntoView({{block: 'center'}})")
        box = self.value(f"(b => [b.x + b.width / 2, b.y + b.height / 2])(document.getElementById('{identifier}').getBoundingClientRect())")
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def screen(self, width, height, scale, mobile, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def photograph(self, path):
        self.value("scrollTo(0, 0)")
        time.sleep(0.4)
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        path.write_bytes(base64.b64decode(picture["data"]))


def edit_labels(browser):
    browser.value("document.getElementById('vocabulary').focus()")
    browser.value("document.getElementById('vocabulary').select()")
    browser.call("Input.insertText", text="zebra\n  giraffe \n\nzebra")
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


def look_on_all_screens(browser, folder):
    for name, width, height, scale, mobile in [("desktop", 1280, 900, 1, False), ("phone", 390, 844, 2, True)]:
        for scheme in ["light", "dark"]:
            browser.screen(width, height, scale, mobile, scheme)
            time.sleep(0.3)
            wide = browser.value("document.documentElement.scrollWidth")
            assert wide <= width, f"{name}: the page is {wide} pixels wide on a screen of {width}"
            low = browser.value("Math.min(...[...document.querySelectorAll('button')].map(b => b.getBoundingClientRect().height))")
            assert low >= 44, f"{name}: a button is only {low} pixels high"
            if folder:
                browser.photograph(folder / f"{name}-{scheme}.png")


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
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        print("SKIPPED: there is no Chromium here: the page was not looked at", file=sys.stderr)
        return SKIPPED
    parts = urlsplit(address)
    signal.alarm(WHOLE_PATIENCE)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            browser.open_tab()
            browser.screen(1280, 900, 1, False, "light")
            browser.call("Page.navigate", url=address)
            browser.wait_for("document.getElementById('state')?.textContent === 'live'")
            browser.wait_for("document.querySelectorAll('#labels li').length > 0")
            browser.wait_for("document.getElementById('picture').naturalWidth > 0")
            edit_labels(browser)
            refuse_an_empty_list(browser)
            ask_for_a_caption(browser)
            look_on_all_screens(browser, folder)
            browser.value("1")
            check_what_went_wrong(browser, f"{parts.scheme}://{parts.netloc}/")
        finally:
            browser.process.terminate()
            browser.process.wait()
    print("the page does what it should")
    return 0


if __name__ == "__main__":
    sys.exit(main())
