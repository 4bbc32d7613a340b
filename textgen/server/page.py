"""The playground: a page to write in, which talks to the API of the server that it comes from."""

from __future__ import annotations

import functools

from starlette.responses import HTMLResponse

from textgen.display.pages import playground

_page = functools.cache(playground)


def page_response() -> HTMLResponse:
    """The page as an HTTP response."""
    html, policy = _page()
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})
