#!/usr/bin/env python3
"""Saves the page of `web:` as a PNG file.

    tests/web_page/screenshot.py ADDRESS FILE CAPTIONS

ADDRESS is the page's, with its token if it has one. Waits until the page shows CAPTIONS captions. tests/web_page runs it.
"""

import sys
from pathlib import Path

from browser import browser_tab


def main():
    address, file, captions = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with browser_tab() as browser:
        browser.screen(1024, 700, 1, False, "light")
        browser.call("Page.navigate", url=address)
        browser.wait_for_view()
        browser.wait_for(f"document.querySelectorAll('#history li').length >= {captions}")
        browser.photograph(file)


if __name__ == "__main__":
    main()
