"""HTTP itself: what odd, old, hasty and broken clients see."""
import os
import random
import shutil
import subprocess
import tempfile
import time
import unittest

from sluicetest import PATIENCE, BrokerTest


class Routes(BrokerTest):
    def test_an_unknown_route_is_404(self):
        for path in ("/v1", "/v2/topics", "/v1/topics/a/b", "/v1/topics/a/messages/1/2", "/v1/topics/a:what",
                     "/v1/topics/a/messages:what", "//v1/topics", "/healthz/", "/v1/topics/"):
            with self.subTest(path=path):
                self.assertProblem(self.broker.ask("GET", path), 404, retryable=False)

    def test_a_wrong_verb_is_405_and_says_which_are_right(self):
        for method, path, allowed in (
                ("POST", "/v1/topics/t", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}), ("DELETE", "/v1/topics", {"GET", "HEAD"}),
                ("PUT", "/v1/topics/t/messages", {"GET", "HEAD", "POST"}), ("GET", "/v1/topics/t/messages:batch", {"POST"}),
                ("GET", "/v1/topics/t:purge", {"POST"}), ("POST", "/healthz", {"GET", "HEAD"}),
                ("POST", "/v1/topics/t/messages/0", {"GET", "HEAD"}), ("BREW", "/v1/topics", {"GET", "HEAD"})):
            with self.subTest(method=method, path=path):
                a = self.broker.ask(method, path, b"")
                self.assertProblem(a, 405, retryable=False)
                said = {x.strip() for x in a.header("Allow").split(",")}
                self.assertEqual(said - {"OPTIONS"}, allowed)

    def test_options_tells_a_browser_what_it_may_do(self):
        ask = {"Origin": "http://shop.example", "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "content-type,ttl"}
        a = self.broker.ask("OPTIONS", "/v1/topics/t/messages", headers=ask)
        self.assertIn(a.status, (200, 204))
        self.assertIn(a.header("Access-Control-Allow-Origin"), ("*", "http://shop.example"))
        self.assertIn("POST", a.header("Access-Control-Allow-Methods"))
        self.assertTrue(a.header("Access-Control-Allow-Headers"))
        a = self.broker.ask("GET", "/healthz", headers={"Origin": "http://shop.example"})
        self.assertIn(a.header("Access-Control-Allow-Origin"), ("*", "http://shop.example"))
        self.assertEqual(a.header("Access-Control-Expose-Headers"), "*")

    def test_options_without_cors_names_the_verbs(self):
        a = self.broker.ask("OPTIONS", "/v1/topics/t")
        self.assertIn(a.status, (200, 204))
        self.assertIn("PUT", a.header("Allow"))

    def test_errors_have_ids_of_their_own(self):
        ids = {self.broker.ask("GET", "/nowhere").json["request_id"] for _ in range(20)}
        self.assertEqual(len(ids), 20)


class Connections(BrokerTest):
    def setUp(self):
        super().setUp()
        self.path = "/v1/topics/%s/messages" % self.name

    def test_one_connection_carries_many_requests(self):
        with self.broker.client() as c:
            for i in range(200):
                self.assertEqual(c.ask("POST", self.path, b"x").json["offset"], i)

    def test_pipelined_requests_are_answered_in_order(self):
        with self.broker.client() as c:
            c.send(b"".join(c.head("POST", self.path, {"Content-Length": "3"}) + b"%03d" % i for i in range(50)) +
                   c.head("GET", self.path + "?limit=1000"))
            for i in range(50):
                self.assertEqual(c.answer().json["offset"], i)
            self.assertEqual([m["data"] for m in c.answer().json["messages"]], ["%03d" % i for i in range(50)])

    def test_a_request_piped_behind_a_long_poll_waits_for_it(self):
        self.broker.ask("PUT", "/v1/topics/" + self.name)
        with self.broker.client() as c:
            c.send(c.head("GET", self.path + "?wait=20") + c.head("GET", "/healthz"))
            self.assertTrue(c.is_silent(0.3))
            self.broker.offset(self.name, "x")
            self.assertEqual(len(c.answer().json["messages"]), 1)
            self.assertEqual(c.answer().json["status"], "ok")

    def test_a_request_in_single_bytes_works(self):
        with self.broker.client() as c:
            for b in c.head("POST", self.path, {"Content-Length": "5"}) + b"slow!":
                c.send(bytes([b]))
            self.assertEqual(c.answer().status, 201)
        self.assertEqual(self.broker.data(self.name), ["slow!"])

    def test_chunks_cut_anywhere_work(self):
        raw = b"5\r\nhello\r\n1\r\n,\r\n06\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
        with self.broker.client() as c:
            head = c.head("POST", self.path, {"Transfer-Encoding": "chunked"})
            for cut in range(0, len(raw), 3):
                c.send(head + raw[:cut])
                c.send(raw[cut:])
                self.assertEqual(c.answer().status, 201, cut)
        self.assertEqual(set(self.broker.data(self.name)), {"hello, world"})

    def test_a_chunk_extension_is_passed_over_or_refused_but_never_taken_for_data(self):
        """libmicrohttpd 1.0.1 refuses them."""
        with self.broker.client() as c:
            c.send(c.head("POST", self.path, {"Transfer-Encoding": "chunked"}) + b"5;ext=1\r\nhello\r\n0\r\n\r\n")
            status = c.answer().status
        self.assertIn(status, (201, 400))
        if status == 201:
            self.assertEqual(self.broker.data(self.name), ["hello"])
        else:
            self.assertEqual(self.broker.ask("GET", "/v1/topics/" + self.name).status, 404)

    def test_a_refusal_does_not_cost_the_connection(self):
        with self.broker.client() as c:
            for _ in range(3):
                self.assertEqual(c.ask("GET", "/nowhere").status, 404)
                self.assertEqual(c.ask("GET", self.path + "?limit=0").status, 400)
                self.assertEqual(c.ask("POST", self.path, b"x", {"TTL": "soon"}).status, 400)
                self.assertEqual(c.ask("GET", "/healthz").status, 200)

    def test_connection_close_is_honoured(self):
        with self.broker.client() as c:
            a = c.ask("POST", self.path, b"x", {"Connection": "close"})
            self.assertEqual((a.status, a.header("Connection").lower()), (201, "close"))
            self.assertTrue(c.is_closed())

    def test_http_1_0_is_answered_and_closed(self):
        with self.broker.client() as c:
            c.send(b"GET /healthz HTTP/1.0\r\n\r\n")
            got = c.rest()
            self.assertIn(b" 200 ", got.split(b"\r\n")[0])
            self.assertIn(b'"status"', got)

    def test_a_client_that_shuts_its_sending_side_is_answered(self):
        import socket
        with self.broker.client() as c:
            c.send(c.head("POST", self.path, {"Content-Length": "4"}) + b"last")
            c.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(c.answer().status, 201)
        self.assertEqual(self.broker.data(self.name), ["last"])

    def test_an_unfinished_body_is_never_a_message(self):
        with self.broker.client() as c:
            c.send(c.head("POST", self.path, {"Content-Length": "1000"}) + b"half")
        with self.broker.client() as c:
            c.send(c.head("POST", self.path, {"Transfer-Encoding": "chunked"}) + b"4\r\nhalf\r\n")
        self.broker.offset(self.name, "whole")
        self.assertIdle()
        self.assertEqual(self.broker.data(self.name), ["whole"])

    def test_expect_100_is_answered_before_the_body(self):
        with self.broker.client() as c:
            c.send(c.head("POST", self.path, {"Content-Length": "5", "Expect": "100-continue"}))
            self.assertEqual(c._line(), b"HTTP/1.1 100 Continue")
            self.assertEqual(c._line(), b"")
            c.send(b"12345")
            self.assertEqual(c.answer().status, 201)

    def test_expect_100_with_too_large_a_body_is_refused_at_once(self):
        with self.broker.client() as c:
            c.send(c.head("POST", self.path, {"Content-Length": str(1 << 40), "Expect": "100-continue"}))
            a = c.answer()
            self.assertProblem(a, 413)
            self.assertEqual(a.interim, [])

    def test_headers_beyond_the_pool_are_431(self):
        with self.broker.client() as c:
            try:
                c.send(c.head("POST", self.path, {"X-Long": "x" * 100000, "Content-Length": "0"}))
            except ConnectionError:
                pass
            a = c.answer()
            self.assertIn(a.status, (431, 413, 414), a)
            self.assertEqual(a.status, 431)
        self.assertEqual(self.broker.ask("GET", "/healthz").status, 200)

    def test_a_long_path_is_refused(self):
        with self.broker.client() as c:
            try:
                c.send(c.head("GET", "/v1/topics/" + "x" * 60000))
            except ConnectionError:
                pass
            self.assertIn(c.answer().status, (414, 431))

    def test_nonsense_harms_nobody(self):
        rng = random.Random(11)
        pieces = [b"GET ", b"POST ", b"/v1/topics/x/messages", b" HTTP/1.1\r\n", b"\r\n\r\n", b"Host: x\r\n",
                  b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"zz\r\n",
                  b"\0\0", b"%", b"?from=", bytes(range(128, 200)), b"Content-Length: 99999999999999999999999\r\n"]
        for _ in range(200):
            with self.broker.client() as c:
                try:
                    c.send(b"".join(rng.choice(pieces) for _ in range(rng.randrange(1, 12))))
                except ConnectionError:
                    pass
        self.assertEqual(self.broker.ask("GET", "/healthz").status, 200)
        self.assertIdle()

    def test_a_length_and_chunks_together_are_not_two_requests(self):
        """Request smuggling: what follows the body must not be taken for a request."""
        with self.broker.client() as c:
            c.send(c.head("POST", self.path, {"Content-Length": "4", "Transfer-Encoding": "chunked"}) +
                   b"3\r\nabc\r\n0\r\n\r\n")
            self.assertIn(c.answer().status, (201, 400))
        for m in (self.broker.read(self.name).json.get("messages") or []):
            self.assertEqual(m["data"], "abc")


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class Curl(BrokerTest):
    def curl(self, *args, input=None):
        done = subprocess.run(["curl", "-sS", "--max-time", str(PATIENCE)] + list(args), input=input,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout, done.stderr.decode()

    def url(self):
        return "%s/v1/topics/%s/messages" % (self.broker.url, self.name)

    def test_data_binary_from_stdin(self):
        body = os.urandom(300000)
        rc, out, err = self.curl("--data-binary", "@-", self.url(), input=body)
        self.assertEqual((rc, err), (0, ""), out)
        self.assertEqual(self.curl(self.url() + "/0")[1], body)

    def test_a_chunked_upload_from_stdin(self):
        body = os.urandom(500000)
        rc, out, err = self.curl("-T", "-", "-X", "POST", self.url(), input=body)
        self.assertEqual((rc, err), (0, ""), out)
        self.assertIn(b'"offset":0', out)
        self.assertEqual(self.curl(self.url() + "/0")[1], body)

    def test_a_binary_of_tens_of_megabytes(self):
        with tempfile.NamedTemporaryFile() as f:
            body = random.Random(5).randbytes(40 << 20)
            f.write(body)
            f.flush()
            rc, out, err = self.curl("--data-binary", "@" + f.name, self.url())
            self.assertEqual((rc, err), (0, ""), out)
            self.assertTrue(self.curl(self.url() + "/0")[1] == body, "the bytes differ")

    def test_the_refusal_of_a_large_body_is_seen(self):
        """curl sends on while it is answered: it must see the 413, not a broken pipe."""
        with tempfile.NamedTemporaryFile() as f:
            f.truncate(100 << 20)
            for _ in range(5):
                for how in (["-H", "Expect:", "--data-binary", "@" + f.name], ["-T", f.name, "-X", "POST"],
                            ["-T", "-", "-X", "POST", "-H", "Expect:"]):
                    with open(f.name, "rb") as stdin:
                        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"] + how + [self.url()],
                                              stdin=stdin, stdout=subprocess.PIPE)
                    self.assertEqual(done.stdout, b"413", how)
        self.assertIdle()

    def test_d_and_a_form_type_are_a_message(self):
        rc, out, _ = self.curl("-d", "a=1&b=2", self.url())
        self.assertEqual((rc, b'"offset":0' in out), (0, True))
        self.assertEqual(self.curl(self.url() + "/0")[1], b"a=1&b=2")


class SmallHeaders(BrokerTest):
    settings = {"connection_memory": "4KiB", "idle_timeout": "2s", "header_timeout": "1s", "body_grace": "500ms",
                "min_body_rate": "10KiB"}

    def test_a_small_pool_still_serves(self):
        self.broker.offset(self.name, b"x" * 200000, {"Message-A": "b" * 500})
        self.assertEqual(len(self.broker.message(self.name, 0).body), 200000)

    def test_an_idle_connection_is_closed(self):
        with self.broker.client() as c:
            self.assertEqual(c.ask("GET", "/healthz").status, 200)
            self.assertTrue(c.is_closed(20))

    def test_a_connection_that_says_nothing_is_closed(self):
        with self.broker.client() as c:
            self.assertTrue(c.is_closed(20))

    def test_headers_that_drip_are_cut(self):
        with self.broker.client() as c:
            try:
                for i in range(40):
                    c.send(b"GET /healthz HTTP/1.1\r\nX-Drip: ................"[i:i + 1])
                    time.sleep(0.2)
                closed = False
            except ConnectionError:
                closed = True
        self.assertTrue(closed, "8 s of dripping, header_timeout is 1 s")

    def test_a_body_that_is_too_slow_is_408(self):
        """It held bytes of the buffer and does not fill them."""
        with self.broker.client() as c:
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name, {"Content-Length": "100000"}) + b"x" * 100)
            self.assertProblem(c.answer(), 408, retryable=True)
        self.assertIdle()
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + self.name).status, 404)
        self.assertGreaterEqual(self.broker.metric("sluice_slow_bodies_total"), 1)
