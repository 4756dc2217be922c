"""The pages tell the figures that are stored, and no others."""

from __future__ import annotations

import pytest

from bench import pages

from .notebooks import ROOT


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_tells_the_stored_figures(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert pages.BLOCK.search(text), f"{name} has no block of figures"
    assert pages.filled(text) == text, f"{name} tells other figures than bench/ holds: make bench-pages"


def test_figures_that_nobody_measures_are_named() -> None:
    with pytest.raises(LookupError, match="make bench-weather"):
        pages.filled("<!-- figures: weather -->\n<!-- end -->")
