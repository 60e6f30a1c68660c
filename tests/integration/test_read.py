"""A topic as a log: where to start, how much, and in which form."""
import datetime
import json
import time

from sluicetest import BrokerTest, quote


def rfc3339(seconds):
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at.microsecond // 1000)


class Read(BrokerTest):
    def given(self, n):
        lines = "".join('{"data":"m%d"}\n' % i for i in range(n))
        self.assertEqual(self.broker.batch(self.name, lines).status, 201)

    def test_from_the_start_by_default(self):
        self.given(3)
        page = self.broker.read(self.name).json
        self.assertEqual([m["offset"] for m in page["messages"]], [0, 1, 2])
        self.assertEqual((page["next"], page["earliest"], page["end"]), (3, 0, 3))
        self.assertNotIn("skipped", page)

    def test_from_in_all_its_forms(self):
        self.given(20)
        for from_, first in (("earliest", 0), ("7", 7), ("0", 0), ("-10", 10), ("-1", 19), ("-100", 0),
                             ("10m", 0), ("1h", 0), (rfc3339(time.time() - 3600), 0), ("1970-01-01T00:00:00Z", 0),
                             ("2h", 0), ("7d", 0)):
            with self.subTest(from_=from_):
                page = self.broker.read(self.name, from_=from_).json
                self.assertEqual([m["offset"] for m in page["messages"]], list(range(first, 20)))
                self.assertEqual(page["next"], 20)
        for from_ in ("latest", "20", rfc3339(time.time() + 3600)):
            with self.subTest(from_=from_):
                page = self.broker.read(self.name, from_=from_).json
                self.assertEqual((page["messages"], page["next"], page["end"]), ([], 20, 20))

    def test_from_a_time_is_the_first_message_at_or_after_it(self):
        times = []
        for i in range(3):
            times.append(self.broker.publish(self.name, str(i)).json["time"])
            time.sleep(0.02)
        for i in range(3):
            self.assertEqual(self.broker.data(self.name, from_=times[i]), [str(j) for j in range(i, 3)])

    def test_a_time_with_an_offset_is_the_same_moment(self):
        said = self.broker.publish(self.name, "x").json["time"]
        at = datetime.datetime.strptime(said, "%Y-%m-%dT%H:%M:%S.%f%z")
        west = at.astimezone(datetime.timezone(datetime.timedelta(hours=-5)))
        text = west.strftime("%Y-%m-%dT%H:%M:%S.") + "%03d-05:00" % (west.microsecond // 1000)
        self.assertIn(self.broker.read(self.name, from_=text).status, (200, 400))

    def test_a_bad_query_is_400_and_names_what_is_wrong(self):
        self.given(1)
        for query in ("from=yesterday", "from=", "limit=0", "limit=1001", "limit=x", "wait=-1", "wait=x",
                      "max_bytes=x", "from=1.5x", "strict=maybe", "from=99999999999999999999"):
            with self.subTest(query=query):
                a = self.broker.ask("GET", "/v1/topics/%s/messages?%s" % (self.name, query))
                p = self.assertProblem(a, 400, retryable=False)
                self.assertIn(query.split("=")[0], p["detail"])

    def test_pages_follow_each_other(self):
        self.given(25)
        got, at = [], 0
        while True:
            page = self.broker.read(self.name, from_=at, limit=7).json
            if not page["messages"]:
                break
            got += [m["offset"] for m in page["messages"]]
            at = page["next"]
        self.assertEqual(got, list(range(25)))

    def test_the_default_is_a_hundred(self):
        self.given(150)
        self.assertEqual(self.broker.read(self.name).json["next"], 100)
        self.assertEqual(self.broker.read(self.name, limit=1000).json["next"], 150)

    def test_beyond_the_end_is_empty(self):
        self.given(2)
        page = self.broker.read(self.name, from_=2).json
        self.assertEqual((page["messages"], page["next"]), ([], 2))

    def test_max_bytes_bounds_the_answer_but_never_stops_it(self):
        for n in (1000, 1000, 50000, 1000):
            self.broker.offset(self.name, "x" * n)
        sizes, at = [], 0
        while at < 4:
            page = self.broker.read(self.name, from_=at, max_bytes=2100).json
            sizes.append([len(m["data"]) for m in page["messages"]])
            at = page["next"]
        self.assertEqual(sizes, [[1000, 1000], [50000], [1000]])

    def test_what_is_gone_is_said(self):
        self.given(10)
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"before_offset":6}')
        page = self.broker.read(self.name, from_=2).json
        self.assertEqual((page["skipped"], page["earliest"], page["messages"][0]["offset"]), (4, 6, 6))
        a = self.broker.read(self.name, from_=2, strict=1)
        self.assertProblem(a, 410, retryable=False)
        self.assertEqual(self.broker.read(self.name, from_=6, strict=1).json["messages"][0]["offset"], 6)
        self.assertEqual(self.broker.read(self.name, strict=1).status, 200)

    def test_ndjson_is_one_message_a_line(self):
        self.given(5)
        a = self.broker.read(self.name, {"Accept": "application/x-ndjson"}, limit=3)
        self.assertEqual(a.status, 200)
        self.assertEqual(a.header("Content-Type").split(";")[0], "application/x-ndjson")
        self.assertTrue(a.body.endswith(b"\n"))
        self.assertEqual([json.loads(x)["offset"] for x in a.text.splitlines()], [0, 1, 2])

    def test_ndjson_keeps_a_message_with_line_breaks_on_one_line(self):
        self.broker.offset(self.name, '{\n "a":\n 1 }', {"Content-Type": "application/json"})
        self.broker.offset(self.name, "two\nlines")
        a = self.broker.read(self.name, {"Accept": "application/x-ndjson"})
        lines = [json.loads(x) for x in a.text.split("\n") if x]
        self.assertEqual([m["data"] for m in lines], [{"a": 1}, "two\nlines"])

    def test_octet_stream_is_the_next_message_raw(self):
        raw = bytes(range(256))
        self.broker.offset(self.name, "first")
        self.broker.offset(self.name, raw, {"Content-Type": "x/y", "Message-Key": "k", "Message-Hue": "red"})
        accept = {"Accept": "application/octet-stream"}
        a = self.broker.read(self.name, accept, from_=1)
        self.assertEqual((a.status, a.body, a.header("Message-Offset")), (200, raw, "1"))
        self.assertEqual((a.header("Content-Type"), a.header("Message-Key"), a.header("Message-Hue")),
                         ("x/y", "k", "red"))
        self.assertEqual(self.broker.read(self.name, accept, from_=2).status, 204)
        self.assertEqual(self.broker.read(self.name, accept).body, b"first")

    def test_accept_chooses_the_form(self):
        self.given(1)
        for accept, type in ((None, "application/json"), ("*/*", "application/json"), ("application/*", "application/json"),
                             ("text/html, application/json;q=0.9, */*;q=0.1", "application/json"),
                             ("application/x-ndjson", "application/x-ndjson")):
            with self.subTest(accept=accept):
                a = self.broker.read(self.name, {"Accept": accept} if accept else None)
                self.assertEqual((a.status, a.header("Content-Type").split(";")[0]), (200, type))

    def test_an_unknown_topic_is_404(self):
        self.assertProblem(self.broker.read("nowhere"), 404, "topic_not_found", False)

    def test_one_message_by_its_offset(self):
        self.given(3)
        self.assertEqual(self.broker.message(self.name, 1).text, "m1")
        self.assertProblem(self.broker.message(self.name, 3), 404, "message_not_found")
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"before_offset":2}')
        self.assertProblem(self.broker.message(self.name, 1), 410, "message_gone", False)
        for offset in ("x", "-1", "1.0", "99999999999999999999"):
            self.assertProblem(self.broker.ask("GET", "/v1/topics/%s/messages/%s" % (self.name, offset)), 404)

    def test_a_head_says_what_a_get_would(self):
        self.broker.offset(self.name, "12345", {"Content-Type": "text/plain"})
        for path in ("/v1/topics/%s/messages/0" % self.name, "/v1/topics/" + quote(self.name), "/healthz"):
            with self.subTest(path=path), self.broker.client() as c:
                get = c.ask("GET", path)
                head = c.ask("HEAD", path)
                self.assertEqual((head.status, head.body), (200, b""))
                for name in ("Content-Type", "Content-Length"):
                    self.assertEqual(head.header(name), get.header(name))
                self.assertEqual(c.ask("GET", path).body, get.body)


class SmallHead(BrokerTest):
    settings = {"connection_memory": "4KiB"}

    def test_attributes_that_do_not_fit_into_the_head_are_left_out_and_counted(self):
        """The library closes the connection where the head is too large for its pool."""
        attributes = {"a%d" % i: chr(97 + i) * 900 for i in range(6)}
        self.assertEqual(self.broker.batch(self.name, json.dumps({"data": "x", "attributes": attributes})).status, 201)
        a = self.broker.message(self.name, 0)
        self.assertEqual((a.status, a.body), (200, b"x"))
        given = {name: a.header("Message-" + name) for name in attributes if a.header("Message-" + name)}
        self.assertGreaterEqual(len(given), 2)
        self.assertEqual(given, {name: attributes[name] for name in given})
        self.assertEqual(int(a.header("Attributes-Omitted")), 6 - len(given))
        self.assertEqual(self.broker.read(self.name).json["messages"][0]["attributes"], attributes)

    def test_nothing_is_left_out_where_all_fit(self):
        self.broker.batch(self.name, json.dumps({"data": "x", "attributes": {"a": "1" * 2000}}))
        a = self.broker.message(self.name, 0)
        self.assertEqual((a.header("Message-A"), a.header("Attributes-Omitted")), ("1" * 2000, None))
