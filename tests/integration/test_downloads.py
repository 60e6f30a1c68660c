"""A download that has begun comes whole, whatever becomes of its message meanwhile."""
import hashlib
import random
import socket
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from sluicetest import PATIENCE, Broker, BrokerTest, Client, quote, until

SIZE = 8 << 20  # far more than the kernel holds for a reader with a small window
BODY = random.Random(7).randbytes(SIZE)
SUM = hashlib.sha256(BODY).hexdigest()


class SlowReader(Client):
    """Its window is small: what it did not ask for yet stays in the broker."""

    def __init__(self, broker, path, headers=None):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", broker.port))
        self.host, self.kept = broker.address, b""
        self.send(self.head("GET", path, headers))
        self.status, headers = self._head()
        self.length = int(dict(headers)["Content-Length"])
        self.digest, self.got = hashlib.sha256(), 0

    def take(self, n):
        data = self._exactly(n)
        self.digest.update(data)
        self.got += n

    def take_all(self):
        self.take(self.length - self.got)
        return self.digest.hexdigest()

    def is_cut(self):
        """True when the broker closes before the end; every byte until then was right."""
        while self.got < self.length:
            try:
                data = self.kept or self.sock.recv(1 << 16)
            except ConnectionError:
                return True
            if not data:
                return True
            assert data == BODY[self.got:self.got + len(data)]
            self.got, self.kept = self.got + len(data), b""
        return False


class DownloadTest(BrokerTest):
    def path(self, offset=0):
        return "/v1/topics/%s/messages/%d" % (quote(self.name), offset)

    def given_a_large_message(self, headers=None):
        self.before = self.broker.metrics()["sluice_store_used_bytes"]
        return self.broker.offset(self.name, BODY, headers)

    def purge(self):
        a = self.broker.ask("POST", "/v1/topics/%s:purge" % quote(self.name), '{"all":true}')
        self.assertEqual(a.status, 200, a)

    def begun(self, offset=0, headers=None):
        reader = SlowReader(self.broker, self.path(offset), headers)
        reader.take(100000)
        return reader

    def expect_held(self, count):
        until(lambda: self.broker.metric("sluice_blobs_held") == count, what="%d held" % count)

    def expect_space_back(self):
        self.expect_held(0)
        until(lambda: self.broker.metric("sluice_store_used_bytes") < self.before + (1 << 20),
              what="the space is back")
        self.assertConserved()

    def expect_whole(self, reader):
        self.assertEqual(reader.take_all(), SUM)
        reader.close()


class Downloads(DownloadTest):
    def test_a_message_that_expires_under_way_comes_whole(self):
        self.given_a_large_message({"TTL": "1"})
        with self.begun() as reader:
            self.expect_held(1)
            self.assertProblem(self.broker.ask("GET", self.path()), 410, "message_gone")
            self.expect_whole(reader)
        self.expect_space_back()

    def test_a_message_that_is_purged_under_way_comes_whole(self):
        self.given_a_large_message()
        with self.begun() as reader:
            self.purge()
            self.expect_held(1)
            self.expect_whole(reader)
        self.expect_space_back()

    def test_a_message_that_is_dropped_for_a_quota_under_way_comes_whole(self):
        quota = '{"max_bytes":%d,"overflow":"drop_oldest"}' % SIZE
        self.assertIn(self.broker.ask("PUT", "/v1/topics/" + quote(self.name), quota).status, (200, 201))
        self.given_a_large_message()
        with self.begun() as reader:
            self.broker.offset(self.name, b"one byte too many")
            self.expect_held(1)
            self.expect_whole(reader)
        self.expect_space_back()

    def test_a_message_whose_topic_is_deleted_under_way_comes_whole(self):
        self.given_a_large_message()
        with self.begun() as reader:
            self.assertEqual(self.broker.ask("DELETE", "/v1/topics/" + quote(self.name)).status, 204)
            self.expect_held(1)
            self.broker.offset(self.name, b"another life")
            self.assertProblem(self.broker.ask("GET", self.path()), 410, "message_gone")
            self.expect_whole(reader)
        self.expect_space_back()

    def test_a_range_comes_whole_too(self):
        self.given_a_large_message()
        with self.begun(headers={"Range": "bytes=1000000-"}) as reader:
            self.purge()
            self.expect_held(1)
            self.assertEqual(reader.take_all(), hashlib.sha256(BODY[1000000:]).hexdigest())
        self.expect_space_back()

    def test_a_client_that_leaves_under_way_gives_the_space_back(self):
        self.given_a_large_message()
        with self.begun():
            self.purge()
            self.expect_held(1)
        self.expect_space_back()

    def test_the_space_comes_back_with_the_last_of_several_readers(self):
        self.given_a_large_message()
        readers = [self.begun() for _ in range(3)]
        self.purge()
        self.expect_held(1)
        for reader in readers[:2]:
            self.expect_whole(reader)
        self.expect_held(1)
        self.assertGreaterEqual(self.broker.metric("sluice_store_used_bytes"), self.before + SIZE - (1 << 20))
        self.expect_whole(readers[2])
        self.expect_space_back()

    def test_what_nobody_downloads_does_not_wait_for_what_somebody_does(self):
        self.given_a_large_message()
        with self.begun() as reader:
            for _ in range(3):
                self.broker.offset(self.name, BODY)
            self.purge()
            self.expect_held(1)
            until(lambda: self.broker.metric("sluice_store_used_bytes") < self.before + 2 * SIZE,
                  what="the others' space is back")
            self.expect_whole(reader)
        self.expect_space_back()

    def test_the_writer_sleeps_while_only_downloads_are_left(self):
        self.given_a_large_message()
        with self.begun() as reader:
            self.purge()
            self.expect_held(1)
            before = self.broker.metric("sluice_commits_total")
            with self.broker.client() as c:
                self.assertTrue(c.is_silent(1))
            self.assertLess(self.broker.metric("sluice_commits_total") - before, 10)
            self.expect_whole(reader)
        self.expect_space_back()


    def test_a_download_that_begins_beside_a_purge_comes_whole_or_is_refused(self):
        """The message goes while it is looked for: there is no third way, such as a cut."""
        part = BODY[:400000]  # above inline_max, below what the kernel holds
        outcomes, stop = [], threading.Event()

        def reads():
            with self.broker.client() as c:
                while not stop.is_set():
                    a = c.ask("GET", "/v1/topics/%s/messages" % quote(self.name),
                              headers={"Accept": "application/octet-stream"})
                    outcomes.append((a.status, a.body == part))

        self.broker.offset(self.name, b"so that the topic is there")
        self.purge()
        self.before = self.broker.metric("sluice_store_used_bytes")
        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(reads) for _ in range(4)]
            try:
                for _ in range(60):
                    self.broker.offset(self.name, part)
                    self.purge()
            finally:
                stop.set()
            for reader in readers:
                reader.result(PATIENCE)
        self.assertLessEqual(set(outcomes), {(200, True), (204, False)})
        self.assertIn((200, True), outcomes)
        self.expect_space_back()


class Grace(DownloadTest):
    settings = {"download_grace": "2s"}

    def test_a_download_beyond_its_grace_is_cut(self):
        self.given_a_large_message()
        with self.begun() as reader:
            self.purge()
            self.expect_space_back()  # by itself: the reader takes nothing meanwhile
            self.assertTrue(reader.is_cut())
        self.assertEqual(self.broker.metric("sluice_read_buffer_bytes"), 0)

    def test_a_download_beyond_its_grace_goes_on_while_its_message_lives(self):
        self.given_a_large_message()
        self.broker.offset(self.name + "2", b"x", {"TTL": "3"})
        with self.begun() as reader:
            until(lambda: self.broker.topic(self.name + "2")["expired"] == 1)
            self.expect_whole(reader)


class Restart(unittest.TestCase):
    def test_what_a_download_kept_is_freed_after_a_crash(self):
        broker = Broker(durability="fsync")
        try:
            before = broker.metric("sluice_store_used_bytes")
            broker.offset("big", BODY)
            with SlowReader(broker, "/v1/topics/big/messages/0") as reader:
                reader.take(100000)
                broker.ask("POST", "/v1/topics/big:purge", '{"all":true}')
                until(lambda: broker.metric("sluice_blobs_held") == 1)
                broker.kill()
            broker.start()
            until(lambda: broker.metric("sluice_store_used_bytes") < before + (1 << 20))
            self.assertEqual(broker.metric("sluice_blobs_held"), 0)
            broker.stop()
        finally:
            broker.remove()

    def test_a_download_does_not_keep_the_broker_from_stopping(self):
        broker = Broker(drain_timeout="200ms")
        try:
            broker.offset("big", BODY)
            with SlowReader(broker, "/v1/topics/big/messages/0") as reader:
                reader.take(100000)
                broker.ask("POST", "/v1/topics/big:purge", '{"all":true}')
                until(lambda: broker.metric("sluice_blobs_held") == 1)
                broker.stop()
                self.assertTrue(reader.is_cut())
        finally:
            broker.remove()
