"""Event streams: history and then live, resumed by id, kept alive, ended cleanly, cut when stopped."""
import base64
import json
import random
import threading
import time

from sluicetest import BrokerTest, SoloBrokerTest, log, until
from sse import Crowd, Stream

WHOLE = "x" * 100000  # not yet large


def numbers(count, first=0):
    return [str(i) for i in range(first, first + count)]


class StreamTest(BrokerTest):
    def stream(self, topic=None, **query):
        s = Stream(self.broker, topic or self.name, **query)
        self.addCleanup(s.close)
        return s

    def publish(self, *bodies, headers=None):
        for body in bodies:
            self.broker.offset(self.name, body, headers)

    def publish_numbers(self, count, first=0):
        self.broker.batch(self.name, "".join('{"data":"%d"}\n' % i for i in range(first, first + count)))

    def subscribers(self):
        return self.broker.metric("sluice_sse_subscribers")

    def all_have_gone(self):
        until(lambda: self.subscribers() == 0, what="no subscriber is counted")
        until(lambda: self.broker.metric("sluice_requests_in_flight") == 0, what="no request is left")
        until(lambda: self.broker.metric("sluice_read_buffer_bytes") == 0, what="nothing is held for readers")
        self.assertIdle()


class WhatIsSent(StreamTest):
    def test_history_and_then_live(self):
        self.publish("a", "b")
        s = self.stream()
        self.assertEqual([(e.id, e.type, e.data) for e in s.take(2)],
                         [("0", "message", "a"), ("1", "message", "b")])
        self.publish("c")
        self.assertEqual([(e.id, e.data) for e in s.take(1)], [("2", "c")])
        self.assertEqual(s.head[0], "HTTP/1.1 200 OK")
        self.assertEqual((s.head[1]["content-type"], s.head[1]["cache-control"]), ("text/event-stream", "no-store"))
        self.assertTrue(1000 <= s.retry < 3000, s.retry)

    def test_it_begins_where_from_says(self):
        self.publish_numbers(10)
        self.assertEqual(self.stream(**{"from": 7}).data(3), ["7", "8", "9"])
        self.assertEqual(self.stream(**{"from": -2}).data(2), ["8", "9"])
        s = self.stream(**{"from": "latest"}).opened()
        self.publish("new")
        self.assertEqual(s.data(1), ["new"])

    def test_it_resumes_behind_the_last_event(self):
        self.publish_numbers(5)
        self.assertEqual(self.stream(headers={"Last-Event-ID": "2"}).data(2), ["3", "4"])
        self.assertEqual(self.stream(lastEventId=3).data(1), ["4"])
        # what the browser adds by itself is newer than what is in the address
        self.assertEqual(self.stream(headers={"Last-Event-ID": "3"}, lastEventId=0, **{"from": 1}).data(1), ["4"])
        s = self.stream(headers={"Last-Event-ID": "4"}).opened()
        self.publish("5")
        self.assertEqual(s.data(1), ["5"])

    def test_an_id_that_was_never_given_is_told_and_all_is_sent(self):
        self.publish("a")
        unknown, first = self.stream(headers={"Last-Event-ID": "1000"}).take(2)
        self.assertEqual((unknown.type, unknown.id, json.loads(unknown.data)),
                         ("unknown", "", {"unknown": 1000, "earliest": 0}))
        self.assertEqual((first.id, first.data), ("0", "a"))

    def test_what_is_gone_is_told(self):
        self.publish_numbers(10)
        self.assertEqual(self.broker.ask("POST", "/v1/topics/%s:purge" % self.name,
                                         '{"before_offset":6}').status, 200)
        skipped, first = self.stream(headers={"Last-Event-ID": "1"}).take(2)
        self.assertEqual((skipped.type, skipped.id, json.loads(skipped.data)),
                         ("skipped", "5", {"skipped": 4, "next": 6}))
        self.assertEqual((first.id, first.data), ("6", "6"))
        self.assertEqual(self.stream().take(1)[0].id, "6")  # who asks for the earliest has lost nothing

    def test_what_expires_between_is_told_to_those_who_are_behind(self):
        self.publish("stays")
        self.publish("goes", headers={"TTL": "1ms"})
        time.sleep(0.05)
        self.publish("last")
        self.assertEqual([(e.type, e.id) for e in self.stream().take(3)],
                         [("message", "0"), ("skipped", "1"), ("message", "2")])

    def test_strict_is_refused_when_something_is_gone(self):
        self.publish_numbers(3)
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"before_offset":2}')
        self.assertProblem(self.broker.read(self.name, {"Accept": "text/event-stream"}, strict=1, **{"from": 1}),
                           410, "message_gone")

    def test_text_comes_line_by_line(self):
        for text, seen in (("one\ntwo", "one\ntwo"), ("ends\n", "ends\n"), ("\n", "\n"), ("", ""),
                           ("a\r\nb\rc\n\nd", "a\nb\nc\n\nd"), (" leading: colon", " leading: colon"),
                           ("id: 7\nevent: x\n\ndata: y", "id: 7\nevent: x\n\ndata: y"), ("æ–\0", "æ–\0")):
            offset = self.broker.offset(self.name, text.encode())
            event, = self.stream(**{"from": offset}).take(1)
            self.assertEqual((event.id, event.type, event.data), (str(offset), "message", seen))

    def test_json_comes_as_it_is(self):
        text = '{\n  "n": 12345678901234567890,\n  "s": "a\\nb"\n}'
        self.publish(text, headers={"Content-Type": "application/json"})
        self.assertEqual(self.stream().data(1), [text])

    def test_bytes_come_as_base64(self):
        body = bytes(range(256)) * 3
        self.publish(body)
        event, = self.stream().take(1)
        self.assertEqual((event.id, event.type), ("0", "base64"))
        self.assertEqual(base64.b64decode(event.data, validate=True), body)

    def test_a_large_message_comes_as_its_place(self):
        body = bytes(random.randrange(256) for _ in range(1000)) * 500
        self.publish(body, headers={"Content-Type": "image/png"})
        event, = self.stream().take(1)
        place = json.loads(event.data)
        self.assertEqual((event.type, place["size"], place["content_type"]), ("large", len(body), "image/png"))
        self.assertEqual(self.broker.ask("GET", place["href"]).body, body)

    def test_an_envelope_tells_everything(self):
        self.publish("text\nof lines", headers={"Message-Key": "k", "Message-Till": "7", "Content-Type": "text/plain"})
        self.publish('{"a":\n1}', headers={"Content-Type": "application/json"})
        self.publish(b"\xff\0")
        self.publish(b"y" * 300000)
        events = self.stream(envelope=1).take(4)
        self.assertEqual({e.type for e in events}, {"message"})
        lines = self.broker.read(self.name, {"Accept": "application/x-ndjson"}).text.splitlines()
        self.assertEqual([e.data for e in events], lines)

    def test_nothing_but_numbers_is_a_last_event(self):
        self.publish("a")
        for headers, query in (({"Last-Event-ID": "urn:uuid:7"}, {}), ({}, {"lastEventId": "x"}), ({}, {"envelope": "2"})):
            a = self.broker.read(self.name, dict(headers, Accept="text/event-stream"), **query)
            self.assertProblem(a, 400, "bad_parameter")

    def test_history_of_any_size_comes_whole(self):
        bodies = ["%d " % i + "x" * (i * 997 % 40000) for i in range(200)]
        for i in range(0, 200, 50):
            self.broker.batch(self.name, "".join(json.dumps({"data": b}) + "\n" for b in bodies[i:i + 50]))
        self.assertEqual(self.stream().data(200), bodies)
        self.all_have_gone_after_close()

    def all_have_gone_after_close(self):
        self.doCleanups()
        self.all_have_gone()

    def test_the_largest_that_come_whole_pass_however_they_are_written(self):
        for body in ("\n" * len(WHOLE), "\r\n" * (len(WHOLE) // 2), "a\n" * (len(WHOLE) // 2), "\1" * len(WHOLE)):
            for envelope in (0, 1):
                offset = self.broker.offset(self.name, body)
                event, = self.stream(envelope=envelope, **{"from": offset}).take(1)
                data = json.loads(event.data)["data"] if envelope else event.data
                self.assertEqual(data, body if envelope else body.replace("\r\n", "\n"))

    def test_a_client_of_http_1_0_gets_the_same_without_chunks(self):
        self.publish("a", b"\xff", "two\nlines")
        s = self.stream(version="1.0")
        self.assertEqual([(e.id, e.data) for e in s.take(3)], [("0", "a"), ("1", "/w=="), ("2", "two\nlines")])
        self.assertFalse(s.chunked)
        self.publish(WHOLE)
        self.assertEqual(s.data(1), [WHOLE])

    def test_head_has_the_headers_and_no_stream(self):
        self.publish("a")
        with self.broker.client() as c:
            a = c.ask("HEAD", "/v1/topics/%s/messages" % self.name, headers={"Accept": "text/event-stream"})
            self.assertEqual((a.status, a.header("Content-Type"), a.body), (200, "text/event-stream", b""))
            self.assertEqual(c.ask("GET", "/healthz").status, 200)  # and the connection goes on

    def test_browsers_of_other_origins_may_read(self):
        s = self.stream(headers={"Origin": "https://shop.example"}).opened()
        self.assertEqual(s.head[1]["access-control-allow-origin"], "*")

    def test_a_topic_may_come_later_and_go_and_come_again(self):
        s = self.stream().opened()
        self.publish("first")
        self.assertEqual(s.data(1), ["first"])
        self.assertEqual(self.broker.ask("DELETE", "/v1/topics/" + self.name).status, 204)
        self.publish("second")
        event, = s.take(1)
        self.assertEqual(event.data, "second")
        self.assertGreater(int(event.id), 0)


class ManyReaders(StreamTest):
    def test_no_gap_and_no_duplicate_whenever_one_comes(self):
        total, started = 3000, threading.Event()

        def publisher():
            with self.broker.client() as c:
                for first in range(0, total, 5):
                    lines = "".join('{"data":"%d"}\n' % i for i in range(first, first + 5))
                    c.ask("POST", "/v1/topics/%s/messages:batch" % self.name, lines,
                          {"Content-Type": "application/x-ndjson"})
                    started.set()
        thread = threading.Thread(target=publisher)
        thread.start()
        started.wait()
        crowd, live = [], 0
        for i in range(50):
            time.sleep(random.random() * 0.03)
            live += thread.is_alive()
            crowd.append(self.stream(**({} if i % 2 else {"headers": {"Last-Event-ID": str(i)}})))
        for i, s in enumerate(crowd):
            first = 0 if i % 2 else i + 1
            self.assertEqual([e.id for e in s.take(total - first)], numbers(total - first, first))
        thread.join()
        log("%d of 50 streams came while it published" % live)
        self.doCleanups()
        self.all_have_gone()

    def test_two_thousand_get_every_event(self):
        count, events = 2000, 20
        fds = self.broker.open_fds()
        crowd = Crowd(self.broker, self.name, count, **{"from": "latest"})
        self.addCleanup(crowd.close)
        crowd.until(lambda s: s.retry is not None)
        self.assertEqual(self.subscribers(), count)
        until(lambda: self.broker.metric("sluice_read_buffer_bytes") == 0, what="who waits holds nothing")
        sent = self.broker.metric("sluice_sse_events_total")
        for i in range(events):
            self.publish("event %d" % i)
        crowd.until(lambda s: len(s.events) == events)
        for s in crowd:
            self.assertEqual([e.data for e in s.events], ["event %d" % i for i in range(events)])
        self.assertEqual(self.broker.metric("sluice_sse_events_total") - sent, count * events)
        crowd.close()
        self.all_have_gone()
        until(lambda: self.broker.open_fds() <= fds + 2, what="their descriptors are given back")


class HowItLives(StreamTest):
    settings = {"sse_heartbeat": "200ms", "sse_max_life": "2s", "write_timeout": "500ms"}

    def test_it_is_kept_alive_and_ends_cleanly(self):
        """Also: who has nothing to read has not stopped reading, though write_timeout passes many times."""
        with self.broker.client() as c:
            c.send(c.head("GET", "/v1/topics/%s/messages" % self.name, {"Accept": "text/event-stream"}))
            a = c.answer()  # whole, with the last chunk
            self.assertGreaterEqual(a.body.count(b":\n\n"), 3)
            self.assertTrue(c.is_closed())  # the library knows nothing of this connection any more
        self.assertEqual(self.broker.metric("sluice_connections_stopped_readers_total"), 0)

    def test_those_who_left_are_closed_whoever_else_is_connected(self):
        before = [self.broker.client() for _ in range(8)]  # of each loop
        for c in before:
            self.addCleanup(c.close)
            self.assertEqual(c.ask("GET", "/healthz").status, 200)
        streams = [self.stream().opened() for _ in range(40)]
        for s in streams:
            s.close()
        until(lambda: before[0].metrics()["sluice_connections"] == len(before), what="they are not counted any more")

    def test_lives_are_not_of_one_length(self):
        began, ends = time.monotonic(), []
        crowd = Crowd(self.broker, self.name, 40)
        self.addCleanup(crowd.close)

        def ended(s):
            if s.ended and not hasattr(s, "over"):
                s.over = time.monotonic() - began
                ends.append(s.over)
            return s.ended
        crowd.until(ended)
        self.assertGreaterEqual(min(ends), 1.5)
        self.assertGreater(max(ends) - min(ends), 0.1)
        self.all_have_gone()

    def kernel_keeps_some_for(self, stream):
        ends = "0100007F:%04X 0100007F:%04X " % (self.broker.port, stream.sock.getsockname()[1])
        with open("/proc/net/tcp") as f:
            return any(ends in line for line in f)

    def test_who_stops_reading_is_cut_and_others_go_on(self):
        self.publish(*[WHOLE] * 60)
        stopped = self.stream(receive_buffer=4096)
        reads = self.stream()
        self.assertEqual(len(reads.take(60)), 60)
        self.publish("and on")
        self.assertEqual(reads.data(1), ["and on"])
        until(lambda: self.broker.metric("sluice_connections_stopped_readers_total") >= 1, what="it is cut")
        until(lambda: not self.kernel_keeps_some_for(stopped), what="the kernel keeps nothing that it did not take")
        with self.assertRaises(ConnectionError):
            stopped.rest()
        self.doCleanups()
        self.all_have_gone()


class HowItEnds(SoloBrokerTest, StreamTest):
    def test_a_shutdown_ends_streams_cleanly(self):
        self.start()
        streams = [self.stream().opened() for _ in range(20)]
        streams[0].sock.settimeout(30)
        self.publish("last")
        self.broker.terminate()
        for s in streams:
            self.assertEqual([e.data for e in s.rest()], ["last"])
            self.assertTrue(s.ended)
        self.broker.wait_exit()

    def test_a_shutdown_does_not_wait_for_those_who_stopped(self):
        self.start(drain_timeout="300ms")
        self.publish(*[WHOLE] * 60)
        stopped = self.stream(receive_buffer=4096).opened()
        self.broker.terminate()
        self.broker.wait_exit()
        with self.assertRaises(ConnectionError):
            stopped.rest()

    def test_after_a_restart_it_goes_on_before_anything_is_published(self):
        self.start()
        self.publish_numbers(5000)
        s = self.stream()
        last = s.take(1001)[-1].id
        s.close()
        self.broker.restart()
        self.assertEqual(last, "1000")
        self.assertEqual([e.id for e in self.stream(headers={"Last-Event-ID": last}).take(3999)], numbers(3999, 1001))
        self.assertEqual([e.id for e in self.stream().take(5000)], numbers(5000))
        s = self.stream(headers={"Last-Event-ID": "4999"}).opened()
        self.publish_numbers(1, 5000)
        self.assertEqual(s.data(1), ["5000"])

    def test_without_auto_create_an_unknown_topic_is_not_waited_for(self):
        self.start(auto_create=False)
        self.assertProblem(self.broker.read("none", {"Accept": "text/event-stream"}), 404, "topic_not_found")


class FullReadBuffer(SoloBrokerTest, StreamTest):
    def test_streams_wait_for_room_and_lose_nothing(self):
        """Held by streams that stopped, each within a block of its own; publishers do not notice."""
        self.start(read_buffer="785000", inline_max="64KiB", write_timeout="3s")
        for i in range(40):
            self.broker.offset("big", b"%d" % (i % 10) * 65000)
        held = [self.stream("big", receive_buffer=4096, **{"from": i}) for i in range(40)]
        until(lambda: self.broker.metric("sluice_read_buffer_waiting") > 0, what="one stands in line")
        live = [self.stream().opened() for _ in range(30)]
        self.publish(*numbers(5))  # at once, though no stream can be told
        for s in live:
            self.assertEqual(s.data(5), numbers(5))
        m = self.broker.metrics()
        self.assertLessEqual(m["sluice_read_buffer_high_water_bytes"], m["sluice_read_buffer_limit_bytes"])
        for s in held:
            s.close()
        for s in live:
            s.close()
        self.all_have_gone()

    def test_one_in_line_that_leaves_gives_its_place_to_another(self):
        self.start(read_buffer="785000", inline_max="64KiB", write_timeout="1m")
        for i in range(60):
            self.broker.offset("big", b"%d" % (i % 10) * 65000)
        held = [self.stream("big", receive_buffer=4096, **{"from": i}) for i in range(60)]
        until(lambda: self.broker.metric("sluice_read_buffer_waiting") > 0, what="one stands in line")
        self.publish("x")
        streams = [self.stream() for _ in range(10)]
        for s in streams[:9]:
            s.opened()
        for s in streams[:9]:
            s.close()
        for s in held:
            s.close()
        self.assertEqual(streams[9].data(1), ["x"])
        streams[9].close()
        self.all_have_gone()
