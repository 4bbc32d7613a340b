"""Self-contained HTML pages: those that show the analysis of a text, and the playground of a server.

The templates are beside this module: `frame.html` and `frame.css` are shared by the pages, `reader.js` is the
interactive text, and `NAME.html`, `NAME.css` and `NAME.js` make the page of that name. The pages to write in, `write`
and `playground`, have frames of their own and one style. `abcjs/` holds the library that draws tunes.
"""

from textgen.display.pages.packing import packed, smallest
from textgen.display.pages.page import page, playground, program_page

__all__ = ["packed", "page", "playground", "program_page", "smallest"]
