"""A picture of a page as a browser shows it, where there is a browser; else a line that says what to do.

Chromium is driven by playwright, which is among the course's test packages. Pages of this machine alone are opened.
FastAPI's documentation page takes its style and script from a public network. Where the package
fastapi-offline is installed they come from it, so that the picture can be taken without a network.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from IPython.display import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Route

HOST = "127.0.0.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
NETWORK = "https://cdn.jsdelivr.net/"
PATIENCE_S = 20.0
LONGEST = 50  # characters of the temporary folder's path


def browser() -> str | None:
    """The path of a browser of Chromium's kind, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def missing() -> str:
    """What is not here of what a picture needs, and how to get it; nothing if all is."""
    if importlib.util.find_spec("playwright") is None:
        return "No picture: playwright was not found; `make test` installs it."
    if browser() is None:
        return "No picture: no Chromium was found; `apt install chromium`, or the installer of google.com/chrome."
    return ""


def screenshot(
    url: str, wait_for: str, *, width: int = 1000, height: int = 900, patience_s: float = PATIENCE_S
) -> Image | None:
    """Open a page and give its picture; where that is not possible print one line and give None.

    Parameters
    ----------
    url
        Must begin with http://127.0.0.1:PORT.
    wait_for
        A CSS selector of what must be there before the picture is taken.
    width, height
        Of the window, in pixels.
    patience_s
        Seconds that the page may take to come, and again to be complete.

    Raises
    ------
    ValueError
        An address of another machine.
    """
    if urlsplit(url).scheme != "http" or urlsplit(url).hostname != HOST:
        raise ValueError(f"url: expected a page of this machine, http://{HOST}:PORT/..., found {url!r}")
    if lack := missing():
        print(lack)
        return None
    with ThreadPoolExecutor(1) as pool:  # playwright does not work beside the event loop of a notebook's kernel
        content = pool.submit(_picture, url, wait_for, width, height, patience_s * 1000).result()
    if content is None:
        print("No picture: the page did not finish. FastAPI's takes its script from a public network; is there one?")
        return None
    return Image(content, format="png", width=width, alt=f"{urlsplit(url).path} as a browser shows it")


def _picture(url: str, wait_for: str, width: int, height: int, patience_ms: float) -> bytes | None:
    from playwright.sync_api import Error, sync_playwright

    options = ["--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    if getattr(os, "geteuid", lambda: 1)() == 0:  # in a container
        options.append("--no-sandbox")
    lost = []  # what the page is made of and did not get

    def note(request: Request) -> None:
        if request.resource_type in ("script", "stylesheet"):
            lost.append(request.url)

    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=browser(), args=options, env=_environment())
        except Error:  # it is there and does not start
            return None
        try:
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.on("requestfailed", note)
            _serve_from_package(page)
            page.goto(url, timeout=patience_ms)
            if lost:
                return None
            page.wait_for_selector(wait_for, timeout=patience_ms)
            page.evaluate("window.scrollTo(0, 0)")  # an address with a #part scrolls to it
            return page.screenshot(animations="disabled")
        except Error:  # it took too long
            return None
        finally:
            chromium.close()


def _environment() -> dict[str, str]:
    """This process's variables; Chromium makes a socket in the temporary folder and dies of a long path."""
    too_long = os.name == "posix" and len(tempfile.gettempdir()) > LONGEST
    return {**os.environ, **({"TMPDIR": "/tmp"} if too_long else {})}


def _serve_from_package(page: Page) -> None:
    """Take the documentation page's style and script from fastapi-offline, if it is installed."""
    spec = importlib.util.find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        return
    static = Path(spec.origin).parent / "static"

    def answer(route: Route, *_: Any) -> None:
        file = static / Path(urlsplit(route.request.url).path).name
        if file.is_file():
            route.fulfill(path=file)
        else:
            route.continue_()

    page.route(f"{NETWORK}**", answer)
