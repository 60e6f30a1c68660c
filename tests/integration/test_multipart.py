"""Accept: multipart/mixed: a batch of the log as raw bytes, each part with its headers."""
import base64
import email.parser
import email.policy
import json
import os

from sluicetest import BrokerTest

MULTIPART = {"Accept": "multipart/mixed"}


def parts(answer):
    """As a strict reader takes it apart: by the boundary, and by each part's Content-Length."""
    kind, _, boundary = answer.header("Content-Type").partition("; boundary=")
    assert kind == "multipart/mixed" and len(boundary) == 32, answer.header("Content-Type")
    found, rest, mark = [], answer.body, b"--" + boundary.encode() + b"\r\n"
    while rest.startswith(mark):
        head, _, rest = rest[len(mark):].partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        if "Content-Length" in headers:
            size = int(headers["Content-Length"])
        else:
            size = rest.index(b"\r\n" + mark[:-2])
        found.append((headers, rest[:size]))
        assert rest[size:size + 2] == b"\r\n"
        rest = rest[size + 2:]
    assert rest == b"--" + boundary.encode() + b"--\r\n", rest[:80]
    return found


class Multipart(BrokerTest):
    settings = {"inline_max": "64KiB"}

    def read(self, headers=None, **query):
        return self.broker.read(self.name, headers=dict(MULTIPART, **(headers or {})), **query)

    def test_bodies_come_byte_for_byte_with_their_types(self):
        bodies = [b"plain", b"", bytes(range(256)), b"\r\n--\r\n\r\n", b"--boundary--\r\n", os.urandom(5000),
                  '{"n": 1.0}'.encode()]
        for i, body in enumerate(bodies):
            self.assertEqual(self.broker.offset(self.name, body, {"Content-Type": "x/t%d" % i}), i)
        got = parts(self.read())
        self.assertEqual([body for _, body in got], bodies)
        self.assertEqual([h["Content-Type"] for h, _ in got], ["x/t%d" % i for i in range(len(bodies))])
        self.assertEqual([int(h["Message-Offset"]) for h, _ in got], list(range(len(bodies))))
        self.assertIdle()

    def test_a_parts_headers_are_those_of_the_message_read_alone(self):
        said = self.broker.publish(self.name, "paid", {"Message-Key": "user-42", "Message-till-no": "7", "TTL": "60",
                                                       "Content-Type": "text/plain"})
        (headers, body), = parts(self.read())
        alone = self.broker.message(self.name, 0)
        self.assertEqual(body, alone.body)
        self.assertEqual((headers["Message-Key"], headers["Message-Till-No"]), ("user-42", "7"))
        self.assertEqual((headers["Message-Time"], headers["Message-Expires-At"]),
                         (said.json["time"], said.json["expires_at"]))
        for name, value in headers.items():
            self.assertEqual(alone.header(name), value, name)

    def test_a_value_cannot_add_a_header(self):
        line = json.dumps({"data_base64": base64.b64encode(b"x").decode(), "attributes": {"a": "fine", "b": "1\r\nX-Own: 2"},
                           "content_type": "text/plain"})
        if self.broker.batch(self.name, line).status == 201:
            (headers, body), = parts(self.read())
            self.assertEqual((headers["Message-A"], body), ("fine", b"x"))
            self.assertNotIn("X-Own", headers)
            self.assertNotIn("Message-B", headers)
        else:
            self.assertEqual(self.read().status, 404)

    def test_a_mail_parser_reads_it(self):
        for body in (b"one", b"two"):
            self.broker.offset(self.name, body, {"Content-Type": "text/plain"})
        answer = self.read()
        head = b"MIME-Version: 1.0\r\nContent-Type: " + answer.header("Content-Type").encode() + b"\r\n\r\n"
        mail = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.body)
        self.assertEqual([p.get_payload(decode=True) for p in mail.iter_parts()], [b"one", b"two"])
        self.assertFalse(mail.defects)

    def test_a_large_message_is_a_reference(self):
        large = os.urandom(100000)
        for body in (b"before", large, b"behind"):
            self.broker.offset(self.name, body, {"Content-Type": "image/png", "Message-Key": "k"})
        got = parts(self.read())
        self.assertEqual([body for _, body in got], [b"before", b"Content-Type: image/png\r\n\r\n", b"behind"])
        headers = got[1][0]
        self.assertEqual((headers["Message-Offset"], headers["Message-Key"]), ("1", "k"))
        href = self.broker.read(self.name).json["messages"][1]["href"]
        self.assertEqual(headers["Content-Type"],
                         'message/external-body; access-type=URL; size=100000; URL="%s"' % href)
        self.assertEqual(self.broker.ask("GET", href).body, large)

    def test_limit_and_max_bytes_hold_and_every_message_comes_once(self):
        bodies = [os.urandom(30000) for _ in range(20)]
        for body in bodies:
            self.broker.offset(self.name, body)
        self.assertEqual(len(parts(self.read(from_=3, limit=2))), 2)
        self.assertEqual(len(parts(self.read(max_bytes=70000))), 2)
        self.assertEqual(len(parts(self.read(max_bytes=1))), 1)
        got, at = [], 0
        while at < 20:
            page = self.read(from_=at, max_bytes="1MiB")
            self.assertLess(len(page.body), 300000)
            got += [body for _, body in parts(page)]
            at = int(parts(page)[-1][0]["Message-Offset"]) + 1
        self.assertEqual(got, bodies)
        self.assertIdle()

    def test_nothing_is_204_and_who_waits_gets_what_comes(self):
        self.assertEqual(self.read().status, 404)
        self.broker.offset(self.name, "x")
        self.assertEqual((self.read(from_=1).status, self.read(from_=1).body), (204, b""))
        path = "/v1/topics/%s/messages?from=1&wait=20" % self.name
        with self.broker.client() as one, self.broker.client() as other:
            for c in (one, other):
                c.send(c.head("GET", path, MULTIPART))
            self.broker.offset(self.name, "now")
            for c in (one, other):
                self.assertEqual([body for _, body in parts(c.answer())], [b"now"])

    def test_each_answer_draws_its_boundary_and_a_closed_one_has_a_weak_tag(self):
        for i in range(4):
            self.broker.offset(self.name, str(i))
        first, second = self.read(from_=0, limit=2), self.read(from_=0, limit=2)
        self.assertNotEqual(first.header("Content-Type"), second.header("Content-Type"))
        self.assertTrue(first.header("ETag").startswith('W/"'))
        self.assertEqual(first.header("ETag"), second.header("ETag"))
        self.assertEqual(self.read({"If-None-Match": first.header("ETag")}, from_=0, limit=2).status, 304)
        self.assertEqual(self.read().header("Cache-Control"), "no-store")
