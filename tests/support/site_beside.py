"""A web site beside the broker: another origin, on the same host, whose pages have nothing but its scripts."""
import http.server
import threading
import urllib.parse


class Page(http.server.BaseHTTPRequestHandler):
    """/login?TOKEN gives the hub's cookie, as the helper of Symfony's component writes it. /scripts/N is one."""

    def do_GET(self):
        asked = urllib.parse.urlsplit(self.path)
        if asked.path.startswith("/scripts/"):
            self.script(self.server.scripts[int(asked.path[9:])])
        else:
            self.page(asked)

    def script(self, path):
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript")
        self.end_headers()
        with open(path, "rb") as f:
            self.wfile.write(f.read())

    def page(self, asked):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if asked.path == "/login":
            self.send_header("Set-Cookie", "mercureAuthorization=%s; path=/.well-known/mercure; httponly; samesite=strict"
                             % asked.query)
        self.end_headers()
        self.wfile.write(b"<!doctype html><link rel=icon href=data:,><title>a site</title>")
        for i in range(len(self.server.scripts)):
            self.wfile.write(b"<script src=/scripts/%d></script>" % i)

    def log_message(self, *_):
        pass


class Site:
    def __init__(self, *scripts):
        """scripts: the files of those that each page has."""
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.server.scripts = scripts
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
