"""Pages that show what was found in a text: one file each, which needs nothing from elsewhere.

Facts and plain values go in, HTML comes out. The package knows no model; what a page does with its values stands in
the templates beside this module: `frame.html` and `frame.css` hold what all have in common, `reader.js` the text that
can be pointed at, and `NAME.html`, `NAME.css`, `NAME.js` the page of that name.
"""

from textgen.display.pages.packing import packed, smallest
from textgen.display.pages.page import page

__all__ = ["packed", "page", "smallest"]
