"""Serves runs over HTTP, as OpenAI's clients ask for them, with a page to write in.

    textgen serve poems

`app` has the endpoints and `serving` the socket. A request goes through `security`, is read by `completions` or `chat`
(what they share is in `request`), and becomes a `Job`, whose texts the one thread of `scheduler` writes, together with
those of all others. `streaming` sends them as they come. Needs the extra `serve`.
"""
