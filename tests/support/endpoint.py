"""An HTTP server that messages are pushed to: it keeps what came, and answers as it is told to.

Standard library only.
"""
import collections
import http.server
import ssl
import subprocess
import threading

from sluicetest import PATIENCE, until

Got = collections.namedtuple("Got", "path headers body")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        endpoint = self.server.endpoint
        length = int(self.headers.get("Content-Length") or -1)
        body = self.rfile.read(max(length, 0))
        if len(body) != length:  # who sent it was killed, in its headers or in its body
            self.close_connection = True
            return
        got = Got(self.path, self.headers, body)
        with endpoint.inside():
            endpoint.got.append(got)
            answer = endpoint.answer(got)
        if answer is None:  # without a word
            self.close_connection = True
            return
        status, headers, text = (answer, {}, b"") if isinstance(answer, int) else answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        pass  # the broker may hang up in the middle


class Endpoint:
    """`answer` is called with each request, on its thread: a status, (status, headers, body), or None to hang
    up. It may wait: `at_once` is the most that were inside together."""

    def __init__(self, answer=lambda got: 200, tls=None):
        self.answer, self.got = answer, []
        self.lock = threading.Lock()
        self.now = self.at_once = 0
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.endpoint = self
        self.scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def inside(self):
        return Inside(self)

    @property
    def port(self):
        return self.server.server_address[1]

    def url(self, path="/", host="127.0.0.1"):
        return "%s://%s:%d%s" % (self.scheme, host, self.port, path)

    def bodies(self):
        return [g.body.decode() for g in list(self.got)]

    def take(self, count, seconds=PATIENCE):
        """The first so many requests, when they have come."""
        until(lambda: len(self.got) >= count, seconds, what="%d requests, of which %d came" % (count, len(self.got)))
        return self.got[:count]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Inside:
    def __init__(self, endpoint):
        self.endpoint = endpoint

    def __enter__(self):
        e = self.endpoint
        with e.lock:
            e.now += 1
            e.at_once = max(e.at_once, e.now)

    def __exit__(self, *_):
        with self.endpoint.lock:
            self.endpoint.now -= 1


def certificate(folder):
    """A new one for localhost, signed by itself: (certificate, key)."""
    files = folder + "/cert.pem", folder + "/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-out", files[0], "-keyout", files[1]],
                   check=True, capture_output=True)
    return files
