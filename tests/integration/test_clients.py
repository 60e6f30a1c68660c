"""Slow, dead and too many clients: what each costs, for how long, and what it is told."""
import ctypes
import os
import resource
import shutil
import socket
import struct
import subprocess
import threading
import time
import unittest

from sluicetest import PATIENCE, Broker, Client, SoloBrokerTest, until

REFUSED = 'sluice_connections_refused_total{reason="%s"}'
CLONE_NEWNET = 0x40000000


class From(Client):
    """A client with an address of its own choice."""

    def __init__(self, port, address):
        self.host = "127.0.0.1:%d" % port
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0))
        self.kept = b""


class Everywhere(Broker):
    """Listens on every address: IPv4 clients come as IPv4-mapped IPv6."""

    def flags(self):
        flags = super().flags()
        flags[1] = ":%d" % self.port
        return flags


class ClientsTest(SoloBrokerTest):
    def client(self, b):
        c = b.client()
        self.addCleanup(c.close)
        return c

    def start(self, **settings):
        """A broker, and a connection to watch it by."""
        b = super().start(**settings)
        self.watcher = until(lambda: self.let_in(b), what="the probes of the start are gone")
        until(lambda: self.metric("sluice_connections") == 1)
        return b

    def let_in(self, b):
        c = self.client(b)
        return c if c.ask("GET", "/healthz").status == 200 else None

    def metric(self, name):
        return self.watcher.metrics()[name]

    def assertAllGone(self, what="all others are gone"):
        def left():
            m = self.watcher.metrics()
            return {k: m[k] for k, v in (("sluice_connections", 1), ("sluice_publish_buffer_bytes", 0),
                                         ("sluice_publish_waiting", 0), ("sluice_readers_parked", 0),
                                         ("sluice_requests_in_flight", 0), ("sluice_uploads", 0))
                    if m[k] != v}
        try:
            until(lambda: not left(), what=what)
        except AssertionError as e:
            self.fail("%s; left: %r" % (e, left()))


class Caps(ClientsTest):
    def test_the_connection_over_an_address_cap_is_told_429(self):
        b = self.start(max_connections_per_address=3, loops=2)
        two = [self.client(b) for _ in range(2)]
        for c in two:
            self.assertEqual(c.ask("GET", "/healthz").status, 200)
        for i in range(10):
            with b.client() as c:
                a = c.ask("POST", "/v1/topics/t/messages", b"x")
                self.assertProblem(a, 429, "too_many_connections", True)
                self.assertGreaterEqual(int(a.header("Retry-After")), 1)
                self.assertEqual(a.header("Connection"), "close")
                self.assertIn("max_connections_per_address", a.json["detail"])
                self.assertTrue(c.is_closed())
        self.assertEqual(self.metric(REFUSED % "max_connections_per_address"), 10)
        self.assertEqual(self.metric(REFUSED % "max_connections"), 0)
        for c in two:
            self.assertEqual(c.ask("GET", "/healthz").status, 200)
        self.assertEqual(two[0].ask("GET", "/v1/topics/t").status, 404)

    def test_whoever_leaves_in_whatever_way_gives_the_place_back_once(self):
        b = self.start(max_connections_per_address=3)
        for how in ("close", "reset", "half a request", "half a body", "a long poll", "an early answer") * 3:
            c = b.client()
            self.assertEqual(c.ask("GET", "/healthz").status, 200, how)
            if how == "reset":
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how == "half a request":
                c.send(b"GET /healthz HTTP/1.1\r\nHos")
            elif how == "half a body":
                c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "100"}) + b"half")
            elif how == "a long poll":
                c.send(c.head("GET", "/v1/topics/none/messages?wait=50"))
            elif how == "an early answer":
                c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": str(1 << 40)}) + b"x" * 5000)
                self.assertEqual(c.answer().status, 413)
            c.close()
            self.assertAllGone(how)
        two = [self.client(b) for _ in range(2)]
        for c in two:
            self.assertEqual(c.ask("GET", "/healthz").status, 200)
        self.assertEqual(b.ask("GET", "/healthz").status, 429)

    def assertOneOf(self, b, address):
        """The second connects when the first is in: two at once go to two loops, and either may
        be the first that is counted."""
        with From(b.port, address) as first:
            self.assertEqual(first.ask("GET", "/healthz").status, 200)
            with From(b.port, address) as second:
                self.assertEqual(second.ask("GET", "/healthz").status, 429)
            self.assertEqual(first.ask("GET", "/healthz").status, 200)

    def test_addresses_are_counted_apart(self):
        b = self.start(max_connections_per_address=1)
        self.assertEqual(b.ask("GET", "/healthz").status, 429)
        self.assertOneOf(b, "127.0.0.2")

    def test_an_ipv4_client_of_a_listener_for_all_addresses_is_itself(self):
        """They all come from ::ffff:0:0/96, one /64 of IPv6."""
        b = Everywhere(max_connections_per_address=1)
        self.addCleanup(self._stop, b)
        until(lambda: b.ask("GET", "/healthz").status == 200, what="the probes of the start are gone")
        with From(b.port, "127.0.0.3") as other:
            self.assertEqual(other.ask("GET", "/healthz").status, 200)
            self.assertOneOf(b, "127.0.0.2")
            self.assertEqual(other.ask("GET", "/healthz").status, 200)

    def test_the_connection_over_max_connections_is_told_503(self):
        b = self.start(max_connections=3, loops=2)
        two = [self.client(b) for _ in range(2)]
        for c in two:
            self.assertEqual(c.ask("GET", "/healthz").status, 200)
        a = b.ask("GET", "/healthz")
        self.assertProblem(a, 503, "connections_full", True)
        self.assertGreaterEqual(int(a.header("Retry-After")), 1)
        self.assertEqual(self.metric(REFUSED % "max_connections"), 1)
        two.pop().close()
        until(lambda: b.ask("GET", "/healthz").status == 200, what="the place is free")

    def test_who_asks_nothing_is_told_all_the_same(self):
        b = self.start(max_connections=1)
        c = self.client(b)
        self.assertProblem(c.answer(), 503, "connections_full", True)
        self.assertTrue(c.is_closed())

    def test_a_refused_client_in_the_middle_of_a_large_body_reads_why(self):
        """A socket closed with unread bytes is reset, and the reset overtakes the answer."""
        b = self.start(max_connections=1)
        for _ in range(20):
            with b.client() as c:
                c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "1000000"}) + b"x" * 1000000)
                self.assertProblem(c.answer(), 503, "connections_full")

    def test_refused_connections_are_not_kept(self):
        b = self.start(max_connections=1)
        before, refused = b.open_fds(), self.metric(REFUSED % "max_connections")
        many = [self.client(b) for _ in range(100)]
        self.assertEqual(self.metric("sluice_connections"), 1)
        until(lambda: self.metric(REFUSED % "max_connections") == refused + 100)
        until(lambda: b.open_fds() <= before, what="their descriptors are closed")
        self.assertEqual(self.metric("sluice_connections_lingering"), 0)
        del many

    def test_a_flood_of_2000_over_500_is_counted_to_the_last_one(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        b = self.start(max_connections=500, loops=2)
        accepted = self.metric("sluice_connections_accepted_total")
        said, lock = [], threading.Lock()

        def flood():
            for _ in range(500):
                c = self.client(b)
                try:
                    status = c.ask("GET", "/healthz").status
                except ConnectionError:
                    status = "reset"  # those for whom there was no room to linger
                with lock:
                    said.append(status)
        threads = [threading.Thread(target=flood) for _ in range(4)]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            self.assertEqual(self.watcher.ask("POST", "/v1/topics/t/messages", b"x").status, 201)
        self.assertEqual(said.count(200), 499)
        self.assertEqual(said.count(503) + said.count("reset"), 1501)
        self.assertGreater(said.count(503), 0)
        m = self.watcher.metrics()
        self.assertEqual(m["sluice_connections"], 500)
        self.assertEqual(m["sluice_connections_accepted_total"], accepted + 499)
        self.assertEqual(m[REFUSED % "max_connections"], 1501)
        self.doCleanupsOfClients()

    def doCleanupsOfClients(self):
        """All of the flood leave at once; then there is room again."""
        for function, args, _ in list(self._cleanups):
            owner = getattr(function, "__self__", None)
            if isinstance(owner, Client) and owner is not self.watcher:
                function(*args)
        self.assertAllGone()
        self.assertEqual(self.broker.ask("GET", "/healthz").status, 200)


class Slow(ClientsTest):
    def start(self, **settings):
        return super().start(**dict(dict(idle_timeout="30s", header_timeout="500ms", body_grace="500ms",
                                         min_body_rate="10KiB", publish_buffer="512KiB", inline_max="256KiB",
                                         max_batch_bytes="256KiB", max_message_bytes="256KiB"), **settings))

    def drip(self, c, data, size, every, seconds):
        """Until it is cut or the time is over; true when it was cut or answered."""
        end = time.monotonic() + seconds
        c.sock.settimeout(every)
        for i in range(0, len(data), size):
            try:
                c.send(data[i:i + size])
                c.kept += c.sock.recv(1 << 16)
                return True
            except TimeoutError:
                pass
            except ConnectionError:
                return True
            if time.monotonic() > end:
                return False
        c.sock.settimeout(PATIENCE)
        return False

    def test_headers_byte_by_byte_are_cut_and_counted(self):
        b = self.start()
        for first in (False, True):
            c = self.client(b)
            if first:
                self.assertEqual(c.ask("GET", "/healthz").status, 200)
            self.assertTrue(self.drip(c, b"GET /healthz HTTP/1.1\r\nX-Drip: " + b"." * 500, 1, 0.05, 20))
            self.assertEqual(c.kept, b"")
        self.assertEqual(self.metric("sluice_connections_slow_headers_total"), 2)
        self.assertAllGone()

    def test_headers_that_stop_are_cut(self):
        b = self.start()
        c = self.client(b)
        c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        self.assertTrue(c.is_closed())
        self.assertEqual(self.metric("sluice_connections_slow_headers_total"), 1)
        self.assertAllGone()

    def test_an_idle_connection_is_closed_without_a_word(self):
        b = self.start()
        self.broker.restart(idle_timeout="1s")
        for asks in (0, 1):
            c = self.client(b)
            for _ in range(asks):
                self.assertEqual(c.ask("GET", "/healthz").status, 200)
            self.assertTrue(c.is_closed())
        self.assertGreaterEqual(b.metric("sluice_connections_idle_closed_total"), 2)

    def slow_is_408(self, headers, data, size=50):
        """400,000 bytes are reserved for 1,000 in a second; then somebody else may have them."""
        b = self.start(max_message_bytes="450KiB", inline_max="450KiB", max_batch_bytes="450KiB", publish_buffer="512KiB")
        c = self.client(b)
        c.send(c.head("POST", "/v1/topics/t/messages", headers))
        until(lambda: self.metric("sluice_publish_buffer_bytes") >= 200000, what="the room is reserved")
        next_one = self.client(b)
        next_one.send(next_one.head("POST", "/v1/topics/t/messages", {"Content-Length": "400000"}) + b"n" * 400000)
        until(lambda: self.metric("sluice_publish_waiting") == 1, what="the next one waits for it")
        self.assertTrue(self.drip(c, data, size, 0.05, 20))
        c.sock.settimeout(PATIENCE)
        self.assertProblem(c.answer(), 408, "slow_body", True)
        self.assertTrue(c.is_closed())
        self.assertEqual(next_one.answer().status, 201)
        next_one.close()
        self.assertEqual(self.metric("sluice_slow_bodies_total"), 1)
        self.assertEqual(len(b.data("t")), 1)
        self.assertAllGone()

    def test_a_body_in_drops_is_408_and_gives_its_room_back(self):
        self.slow_is_408({"Content-Length": "400000"}, b"x" * 399999)

    def test_a_chunked_body_in_drops_is_408_as_well(self):
        self.slow_is_408({"Transfer-Encoding": "chunked"}, b"10\r\n0123456789abcdef\r\n" * 10000, 22)

    def test_who_is_told_to_continue_and_does_not_is_408(self):
        b = self.start()
        c = self.client(b)
        c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "200000", "Expect": "100-continue"}))
        a = c.answer()
        self.assertEqual(a.interim, [100])
        self.assertProblem(a, 408, "slow_body", True)
        self.assertAllGone()
        self.assertEqual(b.ask("GET", "/v1/topics/t").status, 404)

    def test_a_piped_request_without_its_body_is_408_behind_the_answer_before_it(self):
        b = self.start()
        c = self.client(b)
        c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "5"}) + b"first" +
               c.head("POST", "/v1/topics/t/messages", {"Content-Length": "200000"}) + b"sec")
        self.assertEqual(c.answer().status, 201)
        self.assertProblem(c.answer(), 408, "slow_body", True)
        self.assertEqual(b.data("t"), ["first"])
        self.assertAllGone()

    def test_a_body_just_above_the_rate_is_a_message(self):
        """Four windows of body_grace long."""
        b = self.start(min_body_rate="1KiB")
        c = self.client(b)
        c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "16000"}))
        self.drip(c, b"x" * 16000, 400, 0.05, 60)
        c.sock.settimeout(PATIENCE)
        self.assertEqual(c.answer().status, 201)
        self.assertEqual(self.metric("sluice_slow_bodies_total"), 0)

    def test_a_reader_that_stops_is_cut(self):
        b = self.start(write_timeout="1s", max_message_bytes="8MiB", publish_buffer="2MiB", inline_max="64KiB",
                       max_batch_bytes="64KiB")
        self.assertEqual(b.publish("t", b"x" * (8 << 20)).status, 201)
        c = self.client(b)
        c.send(c.head("GET", "/v1/topics/t/messages/0"))
        until(lambda: self.metric("sluice_connections_stopped_readers_total") == 1, what="the reader that stopped is cut")
        self.assertAllGone("the reader that stopped is gone")
        with self.assertRaises(ConnectionError):
            c.answer()

    def take_slowly(self, rate):
        """2 KiB every 50 ms of a message of 8 MiB, for as long as it lasts or five seconds."""
        b = self.start(write_timeout="1s", max_message_bytes="8MiB", publish_buffer="2MiB", inline_max="64KiB",
                       max_batch_bytes="64KiB", min_read_rate=rate)
        self.assertEqual(b.publish("t", b"x" * (8 << 20)).status, 201)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", b.port))
            s.sendall(b"GET /v1/topics/t/messages/0 HTTP/1.1\r\nHost: h\r\n\r\n")
            end = time.monotonic() + 5
            try:
                while time.monotonic() < end and s.recv(2048):
                    time.sleep(0.05)
            except ConnectionError:
                pass
            return self.metric("sluice_connections_slow_readers_total"), self.metric("sluice_connections_stopped_readers_total")

    def test_a_reader_that_drips_is_cut(self):
        self.assertEqual(self.take_slowly("1MiB"), (1, 0))
        self.assertAllGone("the reader that drips is gone")

    def test_a_slow_reader_above_the_least_rate_goes_on(self):
        self.assertEqual(self.take_slowly("1KiB"), (0, 0))

    def test_a_reader_that_pauses_for_less_gets_everything(self):
        b = self.start(write_timeout="4s", max_message_bytes="8MiB", publish_buffer="2MiB", inline_max="64KiB",
                       max_batch_bytes="64KiB")
        body = os.urandom(8 << 20)
        self.assertEqual(b.publish("t", body).status, 201)
        c = self.client(b)
        c.send(c.head("GET", "/v1/topics/t/messages/0"))
        time.sleep(1.5)
        self.assertEqual(c.answer().body, body)


class Vanished(ClientsTest):
    """Machines that are gone without a word: a network of its own, with packets dropped."""

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0 or not shutil.which("iptables") or not shutil.which("ip"):
            raise unittest.SkipTest("dropping packets needs root, ip and iptables")
        cls.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        cls.libc = ctypes.CDLL(None, use_errno=True)
        if cls.libc.unshare(CLONE_NEWNET):
            os.close(cls.home)
            raise unittest.SkipTest("no network namespace: " + os.strerror(ctypes.get_errno()))
        for command in (["ip", "link", "set", "lo", "up"], cls.drop("--sport", 1)):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                cls.tearDownClass()
                raise unittest.SkipTest("%s: %s" % (command[0], done.stdout.strip()))

    @classmethod
    def tearDownClass(cls):
        if cls.libc.setns(cls.home, CLONE_NEWNET):
            raise OSError("cannot go back to the network the tests came from")
        os.close(cls.home)

    @staticmethod
    def drop(flag, port):
        return ["iptables", "-w", "-A", "INPUT", "-p", "tcp", flag, str(port), "-j", "DROP"]

    def vanish(self, c):
        port = c.sock.getsockname()[1]
        for flag in ("--sport", "--dport"):
            subprocess.run(self.drop(flag, port), check=True)
        c.close()

    def start(self, **settings):
        return super().start(**dict(dict(idle_timeout="3s", write_timeout="2s", body_grace="500ms",
                                         publish_wait_max="1h", read_wait_max="1h"), **settings))

    def test_an_idle_one_is_forgotten(self):
        b = self.start()
        c = self.client(b)
        self.assertEqual(c.ask("GET", "/healthz").status, 200)
        self.vanish(c)
        self.assertAllGone()
        self.assertGreaterEqual(self.metric("sluice_connections_idle_closed_total") +
                                self.metric("sluice_connections_left_total"), 1)

    def test_a_parked_reader_is_forgotten(self):
        b = self.start()
        c = self.client(b)
        c.send(c.head("GET", "/v1/topics/t/messages?wait=3000"))
        until(lambda: self.metric("sluice_readers_parked") == 1)
        self.vanish(c)
        self.assertAllGone()
        self.assertEqual(self.metric("sluice_readers_left_total"), 1)

    def test_a_parked_reader_that_is_answered_into_nothing_is_forgotten(self):
        b = self.start()
        c = self.client(b)
        c.send(c.head("GET", "/v1/topics/t/messages?wait=3000"))
        until(lambda: self.metric("sluice_readers_parked") == 1)
        self.vanish(c)
        self.assertEqual(b.publish("t", b"news").status, 201)
        self.assertAllGone()

    def test_a_publisher_in_line_with_half_its_body_sent_is_forgotten(self):
        b = self.start(publish_buffer="512KiB", inline_max="256KiB", max_batch_bytes="256KiB",
                       max_message_bytes="256KiB", min_body_rate="0", idle_timeout="6s")
        holders = [self.client(b) for _ in range(2)]
        for h in holders:
            h.send(h.head("POST", "/v1/topics/held/messages", {"Content-Length": "200000"}))
        until(lambda: self.metric("sluice_publish_buffer_bytes") >= 400000, what="the buffer is held")
        c = self.client(b)
        c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "200000"}) + b"x" * 10000)
        until(lambda: self.metric("sluice_publish_waiting") == 1, what="it waits for room")
        self.vanish(c)
        until(self.kept_busy(holders), what="it has left the line")
        for h in holders:
            h.send(b"h" * (200000 - self.sent))
            self.assertEqual(h.answer().status, 201)
            h.close()
        self.assertAllGone()
        self.assertEqual(b.ask("GET", "/v1/topics/t").status, 404)

    def kept_busy(self, holders):
        """The holders send a byte at each look, so that they are not the idle ones."""
        self.sent = 0

        def left_the_line():
            for h in holders:
                h.send(b"h")
            self.sent += 1
            time.sleep(0.1)
            return self.metric("sluice_publish_waiting") == 0
        return left_the_line

    def test_a_publisher_in_the_middle_of_its_body_is_forgotten(self):
        b = self.start()
        for framing in ({"Content-Length": "100000"}, {"Transfer-Encoding": "chunked"}):
            c = self.client(b)
            c.send(c.head("POST", "/v1/topics/t/messages", framing) + b"a\r\n0123456789\r\n")
            until(lambda: self.metric("sluice_publish_buffer_bytes") > 0)
            self.vanish(c)
            self.assertAllGone()
        self.assertEqual(self.metric("sluice_slow_bodies_total"), 2)

    def test_a_reader_in_the_middle_of_a_download_is_forgotten(self):
        b = self.start()
        self.assertEqual(b.publish("t", b"x" * (8 << 20)).status, 201)
        c = self.client(b)
        c.send(c.head("GET", "/v1/topics/t/messages/0"))
        c.sock.recv(100000)
        self.vanish(c)
        self.assertAllGone()
        self.assertEqual(self.metric("sluice_connections_stopped_readers_total"), 1)


if __name__ == "__main__":
    unittest.main()
