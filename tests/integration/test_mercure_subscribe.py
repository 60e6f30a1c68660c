"""Subscribing to the Mercure hub: what comes, to whom, from where on, and when it ends."""
import json
import random
import threading
import time
import unittest

import jwt
from hub import FORM, HUB, HubTest
from sluicetest import BrokerTest, SoloBrokerTest, log, until

SETTINGS = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_subscriber_jwt_key": jwt.KEY, "mercure_anonymous": True,
            "inline_max": "64KiB", "connection_memory": "128KiB"}


def reads(*selectors, **claims):
    """The header of a subscriber who may see private updates of these."""
    return jwt.bearer(subscribe=list(selectors), **claims)


class SubscribeTest(HubTest, BrokerTest):
    settings = SETTINGS

    def setUp(self):
        super().setUp()
        self.topic, self.streams = "https://example.com/%s/" % self.name, []

    def update(self, topic, data="", **fields):
        """Its id. Topics are given below the test's own; several as a list."""
        topics = [topic] if isinstance(topic, str) else topic
        return self.published([("topic", self.topic + t) for t in topics] + [("data", data)] + list(fields.items()))

    def updates(self, first, end, topic="x"):
        """Their ids are not those of other tests."""
        return [self.update(topic, str(i), id="%s-%d" % (self.name, i)) for i in range(first, end)]

    def subscribe(self, *args, **named):
        self.streams.append(super().subscribe(*args, **named))
        return self.streams[-1]

    def on(self, *topics, headers=None, **more):
        return self.subscribe([self.topic + t for t in topics], headers, **more)

    def subscribers(self):
        return self.broker.metric("sluice_mercure_subscribers")

    def all_have_gone(self):
        for s in self.streams:
            s.close()
        until(lambda: self.subscribers() == 0, what="no subscriber is counted")
        until(lambda: self.broker.metric("sluice_read_buffer_bytes") == 0, what="nothing is held for subscribers")
        self.assertIdle()


class WhatIsSent(SubscribeTest):
    def test_an_update_comes_in_the_hubs_own_layout(self):
        s = self.on("x").opened()
        self.update("x", "a\nb\r\nc\rd", id="i1", type="book", retry="1500")
        self.update("x", "", id="i2")
        self.update("x", "line\n", id="i3", retry="0")
        s.take(3)
        self.assertEqual(s.body, b":\n"
                         b"event: book\nretry: 1500\nid: i1\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
                         b"id: i2\ndata: \n\n"
                         b"id: i3\ndata: line\ndata: \n\n")

    def test_the_head_is_that_of_the_hub(self):
        head = self.on("x").opened().head
        self.assertEqual(head[0], "HTTP/1.1 200 OK")
        for name, value in (("content-type", "text/event-stream"), ("pragma", "no-cache"), ("expire", "0"),
                            ("cache-control", "private, no-cache, no-store, must-revalidate, max-age=0"),
                            ("x-accel-buffering", "no"), ("x-content-type-options", "nosniff")):
            self.assertEqual(head[1].get(name), value, name)
        self.assertNotIn("last-event-id", head[1])

    def test_it_is_for_those_who_asked_for_a_topic_of_it(self):
        literal, template, both, all_, other = (self.on("x"), self.on("{a}"), self.on("x", "y"),
                                                self.subscribe("*"), self.on("x/y"))
        for s in literal, template, both, all_, other:
            s.opened()
        self.update("x", "1")
        self.update("y", "2")
        self.update("z", "3")
        self.update("x/y", "4")
        self.assertEqual(literal.data(1), ["1"])
        self.assertEqual(template.data(3), ["1", "2", "3"])
        self.assertEqual(both.data(2), ["1", "2"])
        self.assertEqual(all_.data(4), ["1", "2", "3", "4"])
        self.assertEqual(other.data(1), ["4"])
        self.update("x", "5")
        self.assertEqual(literal.data(1), ["5"])

    def test_with_alternates_it_comes_once(self):
        s = self.on("a", "b", "{any}", "a").opened()
        other = self.on("c").opened()
        self.update(["a", "b", "c"], "1")
        self.update(["d", "c"], "2")
        self.assertEqual(s.data(2), ["1", "2"])
        self.assertEqual(other.data(2), ["1", "2"])
        self.update("b", "3")
        self.assertEqual(s.data(1), ["3"])

    def test_private_ones_are_for_those_whose_token_covers_a_topic(self):
        t = self.topic
        streams = {
            "none": self.on("x"),
            "no claim": self.on("x", headers=jwt.bearer(publish=["*"])),
            "other": self.on("x", headers=reads(t + "other")),
            "same": self.on("x", headers=reads(t + "x")),
            "alternate": self.on("x", headers=reads(t + "users/{id}")),
            "all": self.on("x", headers=reads("*")),
            "unasked": self.on("unasked", headers=reads("*")),
        }
        for s in streams.values():
            s.opened()
        self.update("x", "1", private="on")
        self.update(["x", "users/1"], "2", private="")
        self.update(["users/1", "x"], "3", private="off")  # whatever it says
        self.update(["x", "unasked"], "4")
        seen = {"none": "4", "no claim": "4", "other": "4", "same": "1234", "alternate": "234", "all": "1234",
                "unasked": "4"}
        for who, s in streams.items():
            with self.subTest(who=who):
                self.assertEqual("".join(s.data(len(seen[who]))), seen[who])

    def test_history_is_filtered_as_news_is(self):
        t = self.topic
        begin = self.update("x", "0", id=self.name)
        self.update("x", "1", private="on")
        self.update(["x", "users/1"], "2", private="on")
        self.update("y", "3")
        self.update("x", "4")
        for headers, seen in ((None, "4"), (reads(t + "users/{id}"), "24"), (reads("*"), "124")):
            s = self.on("x", headers=dict(headers or {}, **{"Last-Event-ID": begin}))
            self.assertEqual("".join(s.data(len(seen))), seen)

    def test_match_is_exact_and_other_matchers_are_refused(self):
        exact = self.subscribe([], match=self.topic + "{a}").opened()
        same = self.subscribe([], match_exact=self.topic + "{a}").opened()
        every = self.subscribe([], match="*").opened()
        self.update("x", "1")
        self.update("{a}", "2")
        self.assertEqual(exact.data(1), ["2"])
        self.assertEqual(same.data(1), ["2"])
        self.assertEqual(every.data(2), ["1", "2"])
        for name in "match_urlpattern", "match_regexp", "Match", "matches", "MATCH_EXACT":
            self.assertRefused(self.refused("x", **{name: "x"}), 400, name)

    def test_a_client_of_http_1_0_gets_the_same_without_chunks(self):
        s = self.on("x", version="1.0").opened()
        self.assertFalse(s.chunked)
        self.update("x", "two\nlines")
        self.update("y", "not")
        self.update("x", "x" * 60000)
        self.assertEqual(s.data(2), ["two\nlines", "x" * 60000])

    def test_head_has_the_headers_and_no_stream(self):
        a = self.refused("x", {"Last-Event-ID": "earliest"}, method="HEAD")
        self.assertEqual((a.status, a.header("Content-Type"), a.header("Last-Event-ID"), a.body),
                         (200, "text/event-stream", "earliest", b""))
        self.assertEqual(self.subscribers(), 0)

    def test_the_largest_updates_come_whole(self):
        s = self.on("x").opened()
        for data in "\n" * 65536, "\r\n" * 32768, "a\r" * 32768, "æ" * 32768:
            self.update("x", data)
            event, = s.take(1)
            self.assertEqual(event.data, data.replace("\r\n", "\n").replace("\r", "\n"))


class WhoIsRefused(SubscribeTest):
    settings = dict(SETTINGS, read_buffer="8MiB")

    def test_without_a_topic(self):
        for query in "", "?", "?topics=x", "?lastEventID=x":
            self.assertRefused(self.broker.ask("GET", HUB + query), 400, 'Missing "topic" parameter.')

    def test_more_than_a_thousand_topics(self):
        topics = ["t%d" % i for i in range(1001)]
        self.assertRefused(self.refused(topics), 400, "1000")
        self.assertRefused(self.refused(topics[:999], match="a", match_exact="b"), 400, "1000")
        s = self.subscribe(topics[:1000]).opened()
        self.published([("topic", "t999"), ("data", "x")])
        self.assertEqual(s.data(1), ["x"])

    def test_more_than_eight_kib_of_templates(self):
        templates = ["%d" % i + "x" * 1019 + "{a}" for i in range(9)]
        self.assertRefused(self.refused(templates), 400, "8192")
        self.subscribe(templates[:8], reads("{a}")).opened()

    def test_what_is_not_percent_encoded_right(self):
        self.assertRefused(self.broker.ask("GET", HUB + "?topic=%zz"), 400, "%")

    def test_the_token_is_looked_at_first(self):
        self.assertRefused(self.refused([], jwt.bearer(subscribe=["*"], key="another")), 401)
        self.assertRefused(self.refused([], jwt.bearer(subscribe=["*"], exp=int(time.time()) - 100)), 401)


class WhereItStarts(SubscribeTest):
    def test_behind_the_event_that_a_header_or_the_query_names(self):
        ids = self.updates(0, 5)
        for headers, query in (({"Last-Event-ID": ids[1]}, {}), ({}, {"lastEventID": ids[1]}),
                               ({}, {"last_event_id": ids[1]}), ({"Last-Event-ID": ids[1]}, {"lastEventID": ids[3]})):
            with self.subTest(headers=headers, query=query):
                s = self.on("x", headers=headers, **query)
                self.assertEqual(s.ids(3), ids[2:])
                self.assertEqual(s.before, ids[1])
        s = self.on("x", headers={"Last-Event-ID": ids[4]}).opened()
        self.assertEqual(s.before, ids[4])
        self.assertEqual(self.updates(5, 6), s.ids(1))

    def test_an_id_that_needs_to_be_encoded(self):
        names = ["%s a&b=%%41+æ" % self.name, "%s urn:x?%%" % self.name]
        for name in names:
            self.update("x", id=name)
        self.assertEqual(self.on("x", lastEventID=names[0]).ids(1), names[1:])
        self.assertEqual(self.on("x", headers={"Last-Event-ID": names[0]}).ids(1), names[1:])

    def test_behind_an_event_of_another_topic(self):
        other = self.update("other", id=self.name)
        ids = self.updates(0, 2)
        s = self.on("x", headers={"Last-Event-ID": other})
        self.assertEqual((s.ids(2), s.before), (ids, other))

    def test_at_the_earliest(self):
        ids = self.updates(0, 3)
        for headers, query in ({"Last-Event-ID": "earliest"}, {}), ({}, {"lastEventID": "earliest"}):
            s = self.on("x", headers=headers, **query)
            self.assertEqual((s.ids(3), s.before), (ids, "earliest"))

    def test_an_unknown_id_gets_all_that_is_there_and_is_told_so(self):
        ids = self.updates(0, 3)
        for unknown in "urn:uuid:none", "#", "x" * 255, "x" * 256, "x" * 5000, "a\xe6b":
            with self.subTest(id=unknown[:20]):
                s = self.on("x", lastEventID=unknown)
                self.assertEqual((s.ids(3), s.before), (ids, "earliest"))

    def test_an_unknown_id_tells_nothing_of_private_events(self):
        """One that may not be seen is answered as one that was never given."""
        ids, secret = self.updates(0, 2), self.name + "-secret"
        self.update("x", "secret", id=secret, private="on")
        streams = [self.on("x", headers={"Last-Event-ID": asked}) for asked in ("urn:none", secret)]
        for s in streams:
            self.assertEqual((s.ids(2), s.before), (ids, "earliest"))
        self.updates(2, 3)
        for s in streams:
            self.assertEqual(s.data(1), ["2"])
            self.assertNotIn(b"secret", s.body)

    def test_a_private_id_is_found_by_those_who_may_see_it(self):
        self.update("x", "0", id=self.name, private="on")
        after = self.update("x", "1")
        s = self.on("x", headers=dict(reads(self.topic + "x"), **{"Last-Event-ID": self.name}))
        self.assertEqual((s.ids(1), s.before), ([after], self.name))

    def test_of_events_with_one_id_the_first_counts(self):
        self.update("x", "0", id=self.name)
        self.update("x", "1", id=self.name)
        self.update("x", "2", id=self.name + "-2")
        self.assertEqual(self.on("x", headers={"Last-Event-ID": self.name}).data(2), ["1", "2"])

    def test_without_an_id_only_what_is_new(self):
        self.updates(0, 2)
        s = self.on("x").opened()
        self.assertEqual(self.updates(2, 3), s.ids(1))

    def test_what_is_purged_is_gone_and_the_client_can_tell(self):
        ids = self.updates(0, 4)
        log_ = self.broker.topic("mercure")
        self.broker.ask("POST", "/v1/topics/mercure:purge", json.dumps({"before_offset": log_["next"] - 2}))
        s = self.on("x", headers={"Last-Event-ID": ids[0]})
        self.assertEqual((s.ids(2), s.before), (ids[2:], "earliest"))
        s = self.on("x", headers={"Last-Event-ID": ids[2]})
        self.assertEqual((s.ids(1), s.before), (ids[3:], ids[2]))

    def test_the_log_may_be_deleted_and_come_again(self):
        s = self.on("x").opened()
        self.updates(0, 2)
        self.assertEqual(s.data(2), ["0", "1"])
        self.assertEqual(self.broker.ask("DELETE", "/v1/topics/mercure").status, 204)
        self.updates(2, 4)
        self.assertEqual(s.data(2), ["2", "3"])
        late = self.on("x", headers={"Last-Event-ID": self.name + "-1"})
        self.assertEqual((late.data(2), late.before), (["2", "3"], "earliest"))


class Lives(SoloBrokerTest, SubscribeTest):
    def test_history_and_live_without_gap_or_duplicate_while_a_publisher_runs(self):
        self.start(**SETTINGS)
        total, ids, begun = 600, [], threading.Event()

        def publisher():
            with self.broker.client() as c:
                for i in range(total):
                    body = "topic=%s&data=%d&id=e%d" % ("xyz"[i % 3], i, i)
                    a = c.ask("POST", HUB, body, dict(jwt.bearer(publish=["*"]), **{"Content-Type": FORM}))
                    assert a.status == 200, a
                    ids.append("e%d" % i)
                    if i == 50:
                        begun.set()
        thread = threading.Thread(target=publisher)
        thread.start()
        begun.wait()
        crowd, live = [], 0
        for i in range(40):
            time.sleep(random.random() * 0.02)
            live += thread.is_alive()
            last = random.randrange(len(ids)) if i % 4 else -1
            topics = ["x", "{any}", ["y", "z"], "z"][i % 3]
            s = self.subscribe(topics, {"Last-Event-ID": "e%d" % last if last >= 0 else "earliest"})
            crowd.append((s, last, "".join(topics)))
        for s, last, topics in crowd:
            wanted = ["e%d" % i for i in range(last + 1, total) if "any" in topics or "xyz"[i % 3] in topics]
            self.assertEqual(s.ids(len(wanted)), wanted)
        thread.join()
        log("%d of 40 came while it published" % live)
        self.all_have_gone()

    def test_after_a_restart_it_goes_on_before_anything_is_published(self):
        self.start(**SETTINGS)
        ids = self.updates(0, 50)
        self.broker.restart()
        s = self.on("x", headers={"Last-Event-ID": ids[19]})
        self.assertEqual((s.ids(30), s.before), (ids[20:], ids[19]))
        self.assertEqual(self.updates(50, 51), s.ids(1))

    def test_what_has_expired_is_gone_and_the_client_can_tell(self):
        self.start(mercure_ttl="1s", **SETTINGS)
        first = self.update("x", "old", id="old")
        until(lambda: not self.log(), what="it expires")
        kept = self.update("x", "new")
        s = self.on("x", headers={"Last-Event-ID": first})
        self.assertEqual((s.ids(1), s.before), ([kept], "earliest"))

    def test_comments_keep_it_alive_and_it_ends_cleanly_when_its_time_is_over(self):
        self.start(mercure_heartbeat="100ms", mercure_write_timeout="2s", mercure_dispatch_timeout="300ms", **SETTINGS)
        s = self.on("x")
        self.assertEqual(s.rest(), [])
        self.assertTrue(s.ended)
        self.assertGreaterEqual(s.comments, 5)
        self.assertEqual(s.body.replace(b"\n", b""), b":" * s.comments)

    def test_it_ends_cleanly_before_its_token_runs_out(self):
        self.start(**SETTINGS)
        exp = time.time() + 3
        s = self.on("x", headers=reads("*", exp=int(exp) + 1))
        self.assertEqual(s.rest(), [])
        self.assertTrue(s.ended)
        self.assertLess(time.time(), exp + 1)

    def test_a_shutdown_ends_it_cleanly_with_or_without_a_life_time(self):
        for setting in "0s", "10m":
            self.start(mercure_write_timeout=setting, **SETTINGS)
            streams = [self.on("x", "y%d" % (i % 3)).opened() for i in range(20)]
            self.update("x", "last")
            self.broker.terminate()
            for s in streams:
                self.assertEqual([e.data for e in s.rest()], ["last"])
                self.assertTrue(s.ended)
            self.broker.wait_exit()

    def test_who_takes_nothing_is_cut_and_finds_the_rest_in_the_log(self):
        self.start(mercure_dispatch_timeout="300ms", **SETTINGS)
        stopped = self.on("x", receive_buffer=4096).opened()
        reader = self.on("x").opened()
        ids = []
        for i in range(100):
            ids.append(self.update("x", "%d " % i + "x" * 60000, id="u%d" % i))
            self.assertEqual(reader.ids(1), ids[-1:])
        until(lambda: self.broker.metric("sluice_connections_stopped_readers_total") == 1, what="it is cut")
        got = []
        with self.assertRaises(ConnectionError):
            while True:
                got += stopped.ids(1)
        self.assertEqual(got, ids[:len(got)])
        self.assertLess(len(got), 100)
        rest = self.on("x", headers={"Last-Event-ID": got[-1] if got else "earliest"})
        self.assertEqual(rest.ids(100 - len(got)), ids[len(got):])
        self.update("x", "and on")
        self.assertEqual(reader.data(1), ["and on"])
        self.all_have_gone()

    def test_many_distinct_sets_get_each_what_is_theirs(self):
        self.start(**SETTINGS)
        count = 300
        streams = [self.on("own/%d" % i, "group%d/{x}" % (i % 7), headers=reads(self.topic + "private/%d" % (i % 5)))
                   for i in range(count)]
        for s in streams:
            s.opened()
        wanted = [[] for _ in range(count)]
        for n in range(60):
            i = random.randrange(count)
            topics, private = [(["own/%d" % i], False), (["group%d/a" % (i % 7)], False),
                               (["group%d/b" % (i % 7), "private/%d" % (i % 5)], True)][n % 3]
            got = self.update(topics, "x", **({"private": "on"} if private else {}))
            for j in range(count):
                if "own/%d" % j in topics or (n % 3 and i % 7 == j % 7 and (not private or i % 5 == j % 5)):
                    wanted[j].append(got)
        last = self.update(["own/%d" % i for i in range(count)], "last")
        for s, ids in zip(streams, wanted):
            self.assertEqual(s.ids(len(ids) + 1), ids + [last])
        self.all_have_gone()

    def test_beyond_their_share_of_the_read_buffer_subscribers_are_refused(self):
        self.start(**dict(SETTINGS, read_buffer="1500000", loops=1))
        streams = []
        for i in range(40):
            topics = ["%d-%d-" % (i, j) + "x" * 1000 for j in range(40)]
            s = self.subscribe(topics)
            s.more()
            if s.head[0] != "HTTP/1.1 200 OK":
                break
            streams.append(s)
        self.assertIn("503", s.head[0])
        self.assertIn(b"quarter of read_buffer", s.body)
        self.assertIn("retry-after", s.head[1])
        self.assertGreaterEqual(len(streams), 2)
        m = self.broker.metrics()
        self.assertEqual(m["sluice_mercure_subscribers_refused_total"], 1)
        self.assertLessEqual(m["sluice_read_buffer_bytes"], 1500000 / 4)
        self.assertIn("sets_full", self.broker.log())
        same = self.subscribe(["0-%d-" % j + "x" * 1000 for j in range(40)]).opened()  # what is there costs nothing
        self.published([("topic", "0-0-" + "x" * 1000), ("data", "to both")])
        self.assertEqual(streams[0].data(1), ["to both"])
        self.assertEqual(same.data(1), ["to both"])
        self.all_have_gone()

    def test_without_anonymous_who_has_no_token_is_refused(self):
        self.start(**dict(SETTINGS, mercure_anonymous=False))
        self.assertRefused(self.refused("x"), 401)
        s = self.on("x", headers=reads()).opened()  # who has one may see what is not private
        self.update("x", "1", private="on")
        self.update("x", "2")
        self.assertEqual(s.data(1), ["2"])


if __name__ == "__main__":
    unittest.main()
