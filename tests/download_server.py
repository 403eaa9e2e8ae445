"""A server on this machine that can break in all the ways that servers do."""

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at every address but /missing and those ending in .md5.

    Attributes:
      content: the file.
      etag: its ETag, or None for a server without ETags and dates.
      ranges: 'yes', 'ignored' (always all of it), 'careless' (Range without If-Range), or 'wrong'.
      breaks: after how many bytes the next transfers break off, one number each.
      length: whether Content-Length is told.
      extra: how many bytes more than there are Content-Length says.
      busy: how many requests are answered with 503.
      md5: what is at the addresses ending in .md5.
      seen: the Range and If-Range headers of all requests.
    """

    def __init__(self, content: bytes):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.etag, self.ranges = content, '"1"', "yes"
        self.breaks: list[int] = []
        self.length, self.extra, self.busy, self.md5 = True, 0, 0, ""
        self.seen: list[tuple[str | None, str | None]] = []

    @property
    def url(self) -> str:
        """Address of the file."""
        return f"http://127.0.0.1:{self.server_port}/folder/file.bin"


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server, asked = self.server, self.headers["Range"]
        server.seen.append((asked, self.headers["If-Range"]))
        if server.busy:
            server.busy -= 1
            return self.send_error(503)
        if self.path == "/missing":
            return self.send_error(404)
        if self.path.endswith(".md5"):
            return self._send(200, server.md5.encode(), {})
        headers = {"ETag": server.etag} if server.etag else {}
        same = server.ranges == "careless" or self.headers["If-Range"] == server.etag
        if not asked or not same or server.ranges == "ignored":
            return self._send(200, server.content, headers)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        if start >= len(server.content):
            return self.send_error(416)
        if server.ranges == "wrong":
            start -= 5
        last, total = len(server.content) - 1, len(server.content)
        headers["Content-Range"] = f"bytes {start}-{last}/{total}"
        self._send(206, server.content[start:], headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.length:
            self.send_header("Content-Length", str(len(body) + self.server.extra))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks.pop(0)] if self.server.breaks else body)


@contextlib.contextmanager
def running(content: bytes) -> Iterator[Server]:
    """A server of this content, in a thread of its own."""
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
