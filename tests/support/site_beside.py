"""A web site beside the broker: another origin, on the same host, whose pages have nothing on them."""
import http.server
import threading
import urllib.parse


class Page(http.server.BaseHTTPRequestHandler):
    """/login?TOKEN gives the hub's cookie, as the helper of Symfony's component writes it."""

    def do_GET(self):
        asked = urllib.parse.urlsplit(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if asked.path == "/login":
            self.send_header("Set-Cookie", "mercureAuthorization=%s; path=/.well-known/mercure; httponly; samesite=strict"
                             % asked.query)
        self.end_headers()
        self.wfile.write(b"<!doctype html><link rel=icon href=data:,><title>a site</title>")

    def log_message(self, *_):
        pass


class Site:
    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
