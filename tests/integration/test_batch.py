"""Many messages in one request: all of them, or none."""
import base64
import glob
import json
import os
import random

from sluicetest import BrokerTest


class Batch(BrokerTest):
    def path(self):
        return "/v1/topics/%s/messages:batch" % self.name

    def test_lines_become_messages(self):
        a = self.broker.batch(self.name, '{"data":{"n":1},"key":"a"}\n{"data":"text"}\n{"data":null}\n')
        self.assertEqual(a.status, 201)
        self.assertEqual(a.json, {"topic": self.name, "first_offset": 0, "last_offset": 2, "count": 3})
        self.assertEqual(a.header("Durability"), "fsync")
        m = self.broker.read(self.name).json["messages"]
        self.assertEqual([x["data"] for x in m], [{"n": 1}, "text", None])
        self.assertEqual(m[0]["key"], "a")

    def test_an_array_and_an_envelope_are_the_same(self):
        a = self.broker.batch(self.name, '[{"data":1},{"data":2}]', "application/json")
        b = self.broker.batch(self.name, ' {"messages" : [ {"data":3} ]} ', "application/json; charset=utf-8")
        self.assertEqual((a.json["count"], b.json["first_offset"], b.json["count"]), (2, 2, 1))
        self.assertEqual(self.broker.data(self.name), [1, 2, 3])

    def test_the_last_line_needs_no_end_and_blank_lines_are_nothing(self):
        a = self.broker.batch(self.name, '\n{"data":1}\r\n\n{"data":2}')
        self.assertEqual(a.json["count"], 2)

    def test_a_value_is_kept_as_it_is_written(self):
        texts = ['9007199254740993', '{"b":1, "a":[ 2 ]}', '1e999', '[[[]]]', 'true', '{"x":"\\u0000"}',
                 '-0', '12345678901234567890.10']
        self.broker.batch(self.name, "".join('{"data":%s}\n' % t for t in texts))
        for i, t in enumerate(texts):
            a = self.broker.message(self.name, i)
            self.assertEqual((a.text, a.header("Content-Type")), (t, "application/json"))

    def test_a_string_is_stored_as_its_text(self):
        text = "zwölf \"x\" \\ \n\t\u0000 \U0001f600"
        self.broker.batch(self.name, json.dumps({"data": text}) + "\n" + '{"data":"\\u00e9\\/\\ud83d\\ude00"}')
        self.assertEqual(self.broker.message(self.name, 0).text, text)
        self.assertEqual(self.broker.message(self.name, 1).text, "é/\U0001f600")
        self.assertTrue(self.broker.message(self.name, 0).header("Content-Type").startswith("text/plain"))

    def test_base64_is_stored_as_its_bytes(self):
        raw = random.Random(3).randbytes(5000)
        line = json.dumps({"data_base64": base64.b64encode(raw).decode(), "content_type": "x/y"})
        self.broker.batch(self.name, line)
        a = self.broker.message(self.name, 0)
        self.assertEqual((a.body, a.header("Content-Type")), (raw, "x/y"))

    def test_every_field_comes_back(self):
        line = {"data": "x", "key": "k", "ttl": "90s", "content_type": "text/x", "attributes": {"a": "1", "b": "zwei"}}
        self.assertEqual(self.broker.batch(self.name, json.dumps(line)).status, 201)
        m = self.broker.read(self.name).json["messages"][0]
        self.assertEqual((m["key"], m["content_type"], m["attributes"], m["data"]),
                         ("k", "text/x", {"a": "1", "b": "zwei"}, "x"))
        one = self.broker.message(self.name, 0)
        self.assertEqual((one.header("Message-A"), one.header("Message-B")), ("1", "zwei"))

    def test_one_bad_line_and_nothing_is_stored(self):
        bad = ['{"date":1}', '{}', '{"data":1', '[1]', '1', '{"data":01}', '{"data":1,"ttl":"soon"}',
               '{"data":1,"data_base64":"AA=="}', '{"data_base64":"A"}', '{"data":1,"key":5}',
               '{"data":1,"attributes":{"a":{}}}', '{"data":"\ud800"}'.encode("utf-8", "surrogatepass").decode("latin-1"),
               '{"data":1} x']
        for line in bad:
            with self.subTest(line=line):
                body = '{"data":"good"}\n{"data":"good"}\n%s\n{"data":"good"}\n' % line
                p = self.assertProblem(self.broker.batch(self.name, body.encode("latin-1")), 400, "bad_batch", False)
                self.assertEqual(p["index"], 2)
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + self.name).status, 404)

    def test_one_bad_element_and_nothing_is_stored(self):
        for text in ('[{"data":1},{"date":2}]', '{"messages":[{"data":1},5]}'):
            with self.subTest(text=text):
                p = self.assertProblem(self.broker.batch(self.name, text, "application/json"), 400, "bad_batch")
                self.assertEqual(p["index"], 1)
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + self.name).status, 404)

    def test_what_is_no_batch_is_refused(self):
        for text, type in (("", "application/json"), ("{", "application/json"), ('{"messages":1}', "application/json"),
                           ("[1", "application/json"), ("7", "application/json"),
                           ('{"data":1}{"data":2}', "application/json")):
            with self.subTest(text=text, type=type):
                self.assertProblem(self.broker.batch(self.name, text, type), 400)

    def test_an_unknown_type_is_415(self):
        self.assertProblem(self.broker.batch(self.name, "x", "text/csv"), 415, retryable=False)

    def test_a_batch_has_one_row_of_offsets(self):
        self.broker.offset(self.name, "before")
        a = self.broker.batch(self.name, '{"data":1}\n' * 2500)
        self.assertEqual((a.json["first_offset"], a.json["last_offset"], a.json["count"]), (1, 2500, 2500))
        self.assertEqual(self.broker.offset(self.name, "after"), 2501)

    def test_a_chunked_batch_works(self):
        with self.broker.client() as c:
            a = c.ask_chunked("POST", self.path(), [b'{"da', b'ta":1}', b'\n{"data":2}\n'],
                              {"Content-Type": "application/x-ndjson"})
        self.assertEqual((a.status, a.json["count"]), (201, 2))

    def test_a_deep_or_wide_value_costs_no_tree(self):
        """5 MB of [1,1,1,...] is 200 MB as a tree of cJSON."""
        wide = "[" + "1," * 1000000 + "1]"
        before = self.broker.rss_anon()
        a = self.broker.batch(self.name, '{"data":%s}' % wide)
        self.assertIn(a.status, (201, 413), a)
        deep = "[" * 100000 + "]" * 100000
        b = self.broker.batch(self.name, '{"data":%s}' % deep)
        self.assertIn(b.status, (201, 400, 413), b)
        if "san" not in os.path.basename(os.path.dirname(os.path.realpath("/proc/%d/exe" % self.broker.process.pid))):
            self.assertLess(self.broker.rss_anon() - before, 64 << 20)

    def test_every_line_of_a_large_real_file_comes_back(self):
        path = max(glob.glob("/usr/share/**/*", recursive=True) + glob.glob("/var/lib/dpkg/*"),
                   key=lambda p: os.path.getsize(p) if text_of_lines(p) else 0)
        with open(path, encoding="utf-8") as f:
            lines = f.read().split("\n")[:60000]
        want = []
        for i in range(0, len(lines), 5000):
            part = lines[i:i + 5000]
            a = self.broker.batch(self.name, "".join(json.dumps({"data": x}) + "\n" for x in part))
            self.assertEqual((a.status, a.json["count"]), (201, len(part)))
            want += part
        got, at = [], 0
        while len(got) < len(want):
            page = self.broker.read(self.name, from_=at, limit=1000).json
            self.assertTrue(page["messages"])
            got += [m["data"] for m in page["messages"]]
            at = page["next"]
        self.assertEqual(got, want)


def text_of_lines(path):
    """A file of real lines, 200 KiB to 8 MiB, all UTF-8."""
    try:
        if os.path.islink(path) or not 200 << 10 <= os.path.getsize(path) <= 8 << 20:
            return False
        with open(path, "rb") as f:
            data = f.read()
        return data.count(b"\n") > 1000 and b"\0" not in data and bool(data.decode())
    except (OSError, UnicodeDecodeError):
        return False
