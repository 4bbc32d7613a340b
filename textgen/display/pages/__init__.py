"""Self-contained HTML pages that show the analysis of a text.

The templates are beside this module: `frame.html` and `frame.css` are shared by all pages, `reader.js` is the
interactive text, and `NAME.html`, `NAME.css` and `NAME.js` make the page of that name.
"""

from textgen.display.pages.packing import packed, smallest
from textgen.display.pages.page import page, program_page

__all__ = ["packed", "page", "program_page", "smallest"]
