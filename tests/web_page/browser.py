"""Headless Chromium for the tests of the web page, spoken to in the DevTools protocol.

Needs Python 3.9 and Chromium (Debian: `apt install chromium`), or $CHROMIUM naming it; nothing else.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
# Seconds for the page to do one thing, and for everything.
TIMEOUT = 60
WHOLE_TIMEOUT = 300
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
        end = time.monotonic() + TIMEOUT
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

    def wait_for_view(self):
        """Waits until the page shows labels and a picture."""
        self.wait_for("document.getElementById('state')?.textContent === 'live'")
        self.wait_for("document.querySelectorAll('#labels li').length > 0")
        self.wait_for("document.getElementById('picture').naturalWidth > 0")

    def photograph(self, path):
        """Saves the whole page as a PNG file."""
        self.value("scrollTo(0, 0)")
        time.sleep(0.4)
        size = self.value("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png", clip=clip)
        path.write_bytes(base64.b64decode(picture["data"]))


@contextlib.contextmanager
def browser_tab():
    """A browser with an empty tab. Ends the program with status 77, and says so, if there is no Chromium."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        print("SKIPPED: there is no Chromium here: the page was not looked at", file=sys.stderr)
        sys.exit(SKIPPED)
    signal.alarm(WHOLE_TIMEOUT)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            browser.open_tab()
            yield browser
        finally:
            browser.process.terminate()
            browser.process.wait()
