"""What an HTTP cache may keep of a log: closed ranges and single messages, and nothing else."""
import re

from sluicetest import BrokerTest, until

MOST_S = 60
NDJSON = {"Accept": "application/x-ndjson"}
RAW = {"Accept": "application/octet-stream"}


def max_age(answer):
    return int(re.fullmatch(r"max-age=(\d+)", answer.header("Cache-Control")).group(1))


class Ranges(BrokerTest):
    def setUp(self):
        super().setUp()
        self.assertEqual(self.broker.batch(self.name, "".join('{"data":"m%d"}\n' % i for i in range(10)))
                         .status, 201)

    def ask(self, tag=None, headers=None, **query):
        headers = dict(headers or {})
        if tag:
            headers["If-None-Match"] = tag
        return self.broker.read(self.name, headers=headers, **query)

    def assertNotKept(self, answer):
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        self.assertIsNone(answer.header("ETag"))

    def test_a_full_range_has_a_tag_and_by_that_it_is_not_sent_again(self):
        for headers, kind in (({}, "W/"), (NDJSON, "")):
            first = self.ask(headers=headers, from_=2, limit=3)
            tag = first.header("ETag")
            self.assertEqual(first.status, 200)
            self.assertTrue(tag.startswith(kind + '"'), tag)
            self.assertEqual((max_age(first), first.header("Vary")), (MOST_S, "Accept, Origin"))
            for known in (tag, '"other", ' + tag, "*", tag.removeprefix("W/")):
                again = self.ask(known, headers, from_=2, limit=3)
                self.assertEqual((again.status, again.body, again.header("ETag")), (304, b"", tag))
                self.assertEqual(max_age(again), MOST_S)
        self.assertIdle()

    def test_what_is_published_later_leaves_a_closed_range_as_it_is(self):
        whole = self.ask(headers=NDJSON, from_=7, limit=3)
        self.broker.offset(self.name, "later")
        again = self.ask(headers=NDJSON, from_=7, limit=3)
        self.assertEqual((again.header("ETag"), again.body), (whole.header("ETag"), whole.body))

    def test_another_range_another_form_and_another_topic_have_other_tags(self):
        self.assertEqual(self.broker.batch(self.name + "2", '{"data":"x"}\n' * 10).status, 201)
        answers = [self.ask(from_=0, limit=3), self.ask(from_=1, limit=3), self.ask(from_=0, limit=4),
                   self.ask(headers=NDJSON, from_=0, limit=3), self.broker.read(self.name + "2", from_=0, limit=3)]
        self.assertEqual(len({a.header("ETag") for a in answers}), len(answers))

    def test_where_the_log_ends_nothing_is_kept(self):
        for query in (dict(from_=5), dict(from_=5, limit=6), dict(from_=10), dict(from_=99), dict(from_="latest")):
            for headers in ({}, NDJSON, RAW):
                if headers is RAW and query["from_"] == 5:
                    continue
                with self.subTest(query=query, headers=headers):
                    answer = self.ask("*", headers, **query)
                    self.assertIn(answer.status, (200, 204))
                    self.assertNotKept(answer)

    def test_a_place_that_moves_is_not_kept(self):
        for from_ in ("earliest", "-5", "10m", "1970-01-01T00:00:00Z", None):
            for headers in ({}, RAW):
                query = {"limit": 2} if from_ is None else {"limit": 2, "from_": from_}
                self.assertNotKept(self.ask("*", headers, **query))

    def test_a_range_that_lost_messages_has_another_tag(self):
        topic = self.name + "-mixed"
        lines = ['{"data":"%d","ttl":"%s"}\n' % (i, "500ms" if i == 2 else "1h") for i in range(6)]
        self.assertEqual(self.broker.batch(topic, "".join(lines)).status, 201)
        tag = None
        first = self.broker.read(topic, headers=NDJSON, from_=1, limit=3)
        if b'"offset":2' in first.body:  # not so slow a machine that it is over already
            tag = first.header("ETag")
            self.assertEqual(max_age(first), 0)
        until(lambda: b'"offset":2' not in self.broker.read(topic, headers=NDJSON, from_=1).body,
              what="the end of message 2")
        now = self.broker.read(topic, headers=dict(NDJSON, **{"If-None-Match": tag or '"x"'}), from_=1, limit=3)
        self.assertEqual(now.status, 200)
        self.assertNotIn(b'"offset":2', now.body)
        self.assertNotEqual(now.header("ETag"), tag)

    def test_it_is_fresh_until_its_first_message_expires(self):
        topic = self.name + "-ttl"
        lines = ['{"data":"%d","ttl":"%ds"}\n' % (i, 30 if i == 4 else 3000) for i in range(6)]
        self.assertEqual(self.broker.batch(topic, "".join(lines)).status, 201)
        self.assertEqual(max_age(self.broker.read(topic, from_=0, limit=4)), MOST_S)
        self.assertLessEqual(max_age(self.broker.read(topic, from_=0, limit=5)), 30)
        self.assertLessEqual(max_age(self.broker.message(topic, 4)), 30)

    def test_a_purge_is_heard_of_with_the_next_question(self):
        tag = self.ask(headers=NDJSON, from_=2, limit=3).header("ETag")
        self.assertEqual(self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"before_offset":4}',
                                         {"Content-Type": "application/json"}).status, 200)
        now = self.ask(tag, NDJSON, from_=2, limit=3)
        self.assertEqual(now.status, 200)
        self.assertNotKept(now)  # it begins before what is left

    def test_a_topic_made_anew_is_another_one(self):
        tag = self.ask(headers=NDJSON, from_=0, limit=1).header("ETag")
        one = self.broker.message(self.name, 0).header("ETag")
        self.assertEqual(self.broker.ask("DELETE", "/v1/topics/" + self.name).status, 204)
        self.assertEqual(self.broker.offset(self.name, "m"), 10)
        self.assertNotEqual(self.ask(headers=NDJSON, from_=10, limit=1).header("ETag"), tag)
        self.assertNotEqual(self.broker.message(self.name, 10).header("ETag"), one)

    def test_who_waits_and_has_it_already_is_told_so_alone(self):
        path = "/v1/topics/%s/messages?from=10&limit=1&wait=10" % self.name
        with self.broker.client() as one, self.broker.client() as other:
            one.send(one.head("GET", path, {"If-None-Match": "*"}))
            other.send(other.head("GET", path))
            until(lambda: self.broker.metric("sluice_readers_parked") == 2, what="two who wait")
            self.broker.offset(self.name, "now")
            self.assertEqual(one.answer().status, 304)
            answer = other.answer()
            self.assertEqual((answer.status, answer.json["messages"][0]["data"]), (200, "now"))


class OneMessage(BrokerTest):
    def setUp(self):
        super().setUp()
        self.broker.offset(self.name, "0123456789", {"TTL": "1h"})

    def ask(self, **headers):
        return self.broker.message(self.name, 0, {k.replace("_", "-"): v for k, v in headers.items()})

    def test_it_has_a_strong_tag_and_is_not_sent_again(self):
        first = self.ask()
        tag = first.header("ETag")
        self.assertRegex(tag, r'^"[^"]+"$')
        self.assertEqual((max_age(first), first.header("Vary")), (MOST_S, "Accept, Origin"))
        for known in (tag, "W/" + tag, "*"):
            again = self.ask(If_None_Match=known)
            self.assertEqual((again.status, again.body, again.header("ETag")), (304, b"", tag))
        self.assertEqual(self.ask(If_None_Match='"other"').body, b"0123456789")
        self.assertIdle()

    def test_the_next_message_behind_an_offset_has_the_same_tag(self):
        raw = self.broker.read(self.name, headers=RAW, from_=0)
        self.assertEqual((raw.header("ETag"), raw.header("Vary")), (self.ask().header("ETag"), "Accept, Origin"))
        raw = self.broker.read(self.name, headers=dict(RAW, **{"If-None-Match": raw.header("ETag")}), from_=0)
        self.assertEqual(raw.status, 304)

    def test_a_part_is_given_only_if_it_fits_to_what_the_client_has(self):
        tag = self.ask().header("ETag")
        part = self.ask(Range="bytes=2-4", If_Range=tag)
        self.assertEqual((part.status, part.body, part.header("ETag")), (206, b"234", tag))
        for other in ('"other"', "W/" + tag, "Sat, 21 Nov 2026 09:00:00 GMT"):
            whole = self.ask(Range="bytes=2-4", If_Range=other)
            self.assertEqual((whole.status, whole.body), (200, b"0123456789"))

    def test_a_large_one_likewise(self):
        body = bytes(range(256)) * 8192
        self.assertEqual(self.broker.offset(self.name, body), 1)
        first = self.broker.message(self.name, 1)
        self.assertEqual(first.body, body)
        again = self.broker.message(self.name, 1, {"If-None-Match": first.header("ETag")})
        self.assertEqual((again.status, again.body), (304, b""))
        part = self.broker.message(self.name, 1, {"Range": "bytes=256-259", "If-Range": first.header("ETag")})
        self.assertEqual((part.status, part.body), (206, bytes(range(4))))
        self.assertIdle()
