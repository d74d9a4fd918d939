"""Stands before a server and spoils its answers: proxy.py SERVER MODE_FILE --port PORT.

The mode is read at every request: `ok`, `slow` (two seconds each), or `full` (requests that write are answered by 507).
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

SERVER, MODE, PORT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[4])
SECONDS = 2.0
HOP_BY_HOP = {"connection", "content-encoding", "content-length", "date", "host", "server", "transfer-encoding"}
# Requests that only read, some of them by POST.
READS = ("/search", "/get", "/health")


class Spoilt(BaseHTTPRequestHandler):
    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        mode = MODE.read_text().strip()
        if mode == "slow":
            time.sleep(SECONDS)
        if mode == "full" and self.command != "GET" and not any(word in self.path for word in READS):
            self.send(507, {}, b'{"error_code": "INTERNAL_ERROR", "message": "no space left on device"}')
            return
        sent = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        got = requests.request(self.command, SERVER + self.path, data=body, headers=sent, timeout=60)
        kept = {name: value for name, value in got.headers.items() if name.lower() not in HOP_BY_HOP}
        self.send(got.status_code, kept, got.content)

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Spoilt).serve_forever()
