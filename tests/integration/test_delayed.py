"""Delayed messages: in the log at once, hidden from subscriptions until their time."""
import datetime
import json
import re
import threading
import time

from sluicetest import BrokerTest, SoloBrokerTest, quote, until
from sse import Stream
from test_cloudevents import BATCHED, EVENT, REQUIRED, STRUCTURED
from test_multipart import MULTIPART, parts
from test_subscriptions import Worker

HOUR = {"Deliver-After": "1h"}


def ms(text):
    at = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return round(at.timestamp() * 1000)


def text(at_ms):
    at = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at_ms % 1000)


def now_ms():
    return int(time.time() * 1000)


class Later(Worker):
    def later(self, body, after, **headers):
        """What the answer says of it."""
        a = self.broker.publish(self.name, body, dict({"Deliver-After": after}, **{k.replace("_", "-"): v for k, v in headers.items()}))
        self.assertEqual(a.status, 201, a)
        return a.json

    def batch(self, *messages, **headers):
        return self.broker.batch(self.name, "".join(json.dumps(m) + "\n" for m in messages),
                                 headers={k.replace("_", "-"): v for k, v in headers.items()})

    def come(self, **query):
        """What can be received, as it comes; none of it before its time."""
        got = self.again(**query)
        at = now_ms()
        for m in got:
            self.assertLessEqual(ms(m.get("deliver_at", m["time"])), at)
        return got

    def listed(self):
        return self.broker.read(self.name).json["messages"]


class Hidden(Later, BrokerTest):
    settings = {"inline_max": "64KiB"}

    def test_it_is_in_the_log_at_once_and_subscriptions_go_on_without_it(self):
        self.make()
        said = self.later("late", "1h")
        self.say("now")
        self.assertEqual(ms(said["deliver_at"]), ms(said["time"]) + 3600000)
        got = self.receive()
        self.assertEqual([(m["offset"], m["data"]) for m in got], [(1, "now")])
        self.assertEqual([(m["data"], m.get("deliver_at")) for m in self.listed()],
                         [("late", said["deliver_at"]), ("now", None)])
        raw = self.broker.message(self.name, 0)
        self.assertEqual((raw.status, raw.text, raw.header("Deliver-At")), (200, "late", said["deliver_at"]))
        self.assertIsNone(self.broker.message(self.name, 1).header("Deliver-At"))
        self.ack(*got)
        s = self.sub()
        self.assertEqual((s["lag"], s["waiting"], s["in_flight"], s["ready"]), (1, 1, 0, 0))
        self.assertConserved()

    def test_other_readers_see_when_it_is_due(self):
        said = self.later("late", "1h")
        s = Stream(self.broker, self.name, envelope=1)
        self.addCleanup(s.close)
        self.assertEqual(json.loads(s.take(1)[0].data)["deliver_at"], said["deliver_at"])
        (headers, body), = parts(self.broker.read(self.name, headers=MULTIPART))
        self.assertEqual((headers["Deliver-At"], body), (said["deliver_at"], b"late"))
        line = self.broker.read(self.name, headers={"Accept": "application/x-ndjson"})
        self.assertEqual(json.loads(line.text)["deliver_at"], said["deliver_at"])

    def test_it_comes_once_its_time_has_come(self):
        self.make()
        said = self.later("late", "300ms")
        m, = self.come()
        self.assertEqual((m["data"], m["deliveries"], m["deliver_at"]), ("late", 1, said["deliver_at"]))
        self.ack(m)
        self.assertEqual((self.sub()["lag"], self.sub()["acked"]), (0, 1))

    def test_who_waits_is_woken_at_its_time(self):
        self.make()
        got = []
        t = threading.Thread(target=lambda: got.append((self.receive(wait=30), now_ms())))
        t.start()
        until(lambda: self.sub()["waiters"] == 1, what="one waits")
        said = self.later("late", "500ms")
        t.join()
        (m,), at = got[0]
        self.assertEqual((m["data"], m["deliveries"]), ("late", 1))
        self.assertGreaterEqual(at, ms(said["deliver_at"]))

    def test_deliver_at_is_a_time_with_any_offset(self):
        self.make()
        at = now_ms() + 3600000
        a = self.broker.publish(self.name, "late", {"Deliver-At": text(at + 7200000)[:-1] + "+02:00"})
        self.assertEqual((a.status, a.json["deliver_at"]), (201, text(at)))
        self.assertEqual((self.receive(), self.sub()["waiting"]), ([], 1))
        self.broker.offset(self.name, "soon", {"Deliver-At": text(now_ms() + 300)})
        self.assertEqual([m["data"] for m in self.come()], ["soon"])

    def test_a_time_that_has_passed_is_no_delay(self):
        self.make()
        for headers in ({"Deliver-At": "2020-01-01T00:00:00Z"}, {"Deliver-At": "1969-01-01T00:00:00Z"},
                        {"Deliver-After": "0"}):
            a = self.broker.publish(self.name, "x", headers)
            self.assertEqual((a.status, a.json.get("deliver_at")), (201, None), a)
        self.assertEqual([m.get("deliver_at") for m in self.receive()], [None] * 3)

    def test_a_large_one_is_delayed_as_well(self):
        self.make()
        self.broker.offset(self.name, b"x" * 300000, {"Deliver-After": "300ms"})
        self.assertEqual([m["size"] for m in self.come()], [300000])

    def test_it_counts_its_tries_from_its_first_delivery(self):
        self.make(max_deliveries=2, dead_letter=self.name + ".dead")
        self.later("late", "100ms")
        first = self.receive(wait=30)
        self.settle("nack", *first, delay="0s")
        second = self.come()
        self.assertEqual([m["deliveries"] for m in first + second], [1, 2])
        self.settle("nack", *second)
        self.assertEqual(self.sub()["dead"], 1)
        dead, = self.broker.read(self.name + ".dead").json["messages"]
        self.assertNotIn("deliver_at", dead)

    def test_redriven_it_is_not_delayed_again(self):
        self.make(dead_letter=self.name + ".dead")
        self.later("late", "100ms")
        self.settle("reject", *self.come())
        self.assertEqual(self.broker.ask("POST", self.path("redrive"), "").json["redriven"], 1)
        m, = self.receive()
        self.assertEqual((m["data"], m["deliveries"], m.get("deliver_at")), ("late", 1, None))

    def test_of_a_key_the_later_ones_stay_behind_it(self):
        self.make(ordering="key")
        self.later("late", "1h", Message_Key="l")
        self.say("behind it", key="l")
        self.later("first", "300ms", Message_Key="k")
        self.say("second", key="k")
        seen = []
        while len(seen) < 2:
            m, = self.come()  # one of a key at a time
            seen.append(m["data"])
            self.ack(m)
        self.assertEqual(seen, ["first", "second"])
        self.assertEqual((self.receive(), self.sub()["waiting"], self.sub()["held"]), ([], 1, 1))

    def test_a_seek_does_not_bring_it_early(self):
        self.make()
        self.later("late", "1h")
        self.say("now")
        self.ack(*self.receive())
        self.assertEqual(self.broker.ask("POST", self.path("seek"), '{"offset":0}').status, 200)
        self.assertEqual((self.data(), self.sub()["waiting"]), (["now"], 1))

    def test_its_ttl_counts_from_its_publish(self):
        said = self.later("late", "30s", TTL="60")
        self.assertEqual(ms(said["expires_at"]) - ms(said["time"]), 60000)


class Refused(Later, BrokerTest):
    def refused(self, code, headers, *words):
        p = self.assertProblem(self.broker.publish(self.name, "x", headers), 400, code, False)
        for word in words:
            self.assertIn(word, p["detail"])
        return p

    def assertNothingStored(self):
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + quote(self.name)).status, 404)

    def test_headers_of_the_wrong_form(self):
        for value in ("soon", "-1", "1 h", "", "2030-01-01T00:00:00Z"):
            self.refused("bad_header", {"Deliver-After": value}, "Deliver-After")
        for value in ("30s", "tomorrow", "1700000000", "2030-01-01", "Fri, 01 Jan 2030 00:00:00 GMT"):
            self.refused("bad_header", {"Deliver-At": value}, "Deliver-At")
        self.assertNothingStored()

    def test_both_headers(self):
        self.refused("bad_header", {"Deliver-After": "1s", "Deliver-At": "2030-01-01T00:00:00Z"}, "one of them")
        with self.broker.client() as c:
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name, {"Content-Length": "1", "Deliver-After": "1s"})
                   .replace(b"\r\n\r\n", b"\r\nDeliver-After: 1s\r\n\r\n") + b"x")
            self.assertProblem(c.answer("POST"), 400, "bad_header")
        self.assertNothingStored()

    def test_longer_than_it_may(self):
        self.refused("delay_too_long", {"Deliver-After": "31d"}, "30 days")
        self.refused("delay_too_long", {"Deliver-At": "9999-12-31T23:59:59Z"}, "30 days", "9999-12-31T23:59:59.000Z")
        self.refused("delay_too_long", {"Deliver-After": "200000000000d"}, "30 days")
        self.assertNothingStored()

    def test_what_would_expire_before_is_refused_with_both_times(self):
        at = text(now_ms() + 3600000)
        p = self.refused("never_delivered", {"Deliver-At": at, "TTL": "60"}, at)
        self.assertEqual(len(re.findall(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", p["detail"])), 2, p)
        self.refused("never_delivered", {"Deliver-After": "1m", "TTL": "60"})
        self.assertNothingStored()
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"ttl":"30s"}')
        self.refused("never_delivered", {"Deliver-After": "30s"})
        self.refused("never_delivered", {"Deliver-After": "30s", "TTL": "1h"})  # which the topic's caps
        self.assertEqual(self.broker.topic(self.name)["accepted"], 0)
        self.later("x", "29s")

    def test_a_body_is_not_waited_for_when_its_headers_are_enough(self):
        for headers, code in (({"Deliver-After": "31d"}, "delay_too_long"), ({"Deliver-After": "1m", "TTL": "5"}, "never_delivered")):
            with self.broker.client() as c:
                c.send(c.head("POST", "/v1/topics/%s/messages" % self.name, dict(headers, **{"Content-Length": "1000000"})))
                self.assertProblem(c.answer("POST"), 400, code)
        self.assertNothingStored()

    def test_a_large_one_that_is_refused_in_the_end_leaves_nothing(self):
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"ttl":"30s"}')
        a = self.broker.publish(self.name, b"x" * 3000000, {"Deliver-After": "30s"})
        self.assertProblem(a, 400, "never_delivered")
        until(lambda: self.broker.metric("sluice_uploads") == 0, what="no upload is left")
        self.assertEqual(self.broker.topic(self.name)["accepted"], 0)
        self.assertIdle()

    def test_a_namespace_has_a_say_before_its_topic_is_there(self):
        self.assertIn(self.broker.ask("PUT", "/v1/namespaces/ns.", '{"ttl":"30s"}').status, (200, 201))
        self.addCleanup(self.broker.ask, "DELETE", "/v1/namespaces/ns.")
        self.assertProblem(self.broker.publish("ns.t", "x", {"Deliver-After": "1m"}), 400, "never_delivered")
        self.assertEqual(self.broker.ask("GET", "/v1/topics/ns.t").status, 404)


class Doors(Later, BrokerTest):
    """Every native way in."""

    def hidden(self):
        """Offsets that are hidden, of all that was published."""
        self.make(self.name + ".s")
        seen = {m["offset"] for m in self.receive(self.name + ".s", limit=1000)}
        return [m["offset"] for m in self.listed() if m["offset"] not in seen]

    def test_a_message_of_a_batch_says_it_itself(self):
        at = text(now_ms() + 7200000)
        a = self.batch({"data": 0}, {"data": 1, "deliver_after": "1h"}, {"data": 2, "deliver_after": 3600},
                       {"data": 3, "deliver_at": at}, {"data": 4, "deliver_at": "2020-01-01T00:00:00Z"})
        self.assertEqual(a.status, 201, a)
        self.assertEqual(self.hidden(), [1, 2, 3])
        self.assertEqual(self.listed()[3]["deliver_at"], at)
        self.assertNotIn("deliver_at", self.listed()[4])

    def test_a_header_speaks_for_all_that_say_nothing(self):
        lines = json.dumps({"messages": [{"data": 0}, {"data": 1, "deliver_after": 0}, {"data": 2, "deliver_after": "2h"}]})
        a = self.broker.batch(self.name, lines, "application/json", HOUR)
        self.assertEqual(a.status, 201, a)
        self.assertEqual(self.hidden(), [0, 2])
        first, _, third = self.listed()
        self.assertEqual(ms(third["deliver_at"]) - ms(first["deliver_at"]), 3600000)

    def test_of_a_batch_with_a_wrong_one_nothing_is_stored(self):
        for wrong, code in (({"deliver_after": "soon"}, "bad_batch"), ({"deliver_at": "30s"}, "bad_batch"),
                            ({"deliver_after": 1, "deliver_at": "2030-01-01T00:00:00Z"}, "bad_batch"),
                            ({"deliver_after": "31d"}, "delay_too_long"), ({"deliver_after": "1m", "ttl": "1m"}, "never_delivered")):
            a = self.batch({"data": 0, "deliver_after": "1s"}, dict({"data": 1}, **wrong), {"data": 2})
            self.assertEqual(self.assertProblem(a, 400, code, False)["index"], 1)
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + self.name).status, 404)

    def test_events_in_all_three_forms(self):
        for path, body, headers in (("messages", "x", dict(REQUIRED)),
                                    ("messages", json.dumps(dict(EVENT, data=1)), {"Content-Type": STRUCTURED}),
                                    ("messages:batch", json.dumps([EVENT, EVENT]), {"Content-Type": BATCHED})):
            a = self.broker.ask("POST", "/v1/topics/%s/%s" % (self.name, path), body, dict(headers, **HOUR))
            self.assertEqual(a.status, 201, a)
        self.say("now")
        self.assertEqual(self.hidden(), [0, 1, 2, 3])

    def test_a_repeat_is_answered_like_the_first_and_another_delay_is_another_publish(self):
        key = {"Idempotency-Key": '"%s"' % self.name}
        first = self.broker.publish(self.name, "x", dict(key, **HOUR))
        again = self.broker.publish(self.name, "x", {"Idempotency-Key": '"%s"' % self.name, "Deliver-After": "60m"})
        self.assertEqual((again.status, again.json, again.header("Idempotent-Replayed")), (201, first.json, "true"))
        self.assertIn("deliver_at", first.json)
        for other in ({}, {"Deliver-After": "2h"}, {"Deliver-At": first.json["deliver_at"]}):
            self.assertProblem(self.broker.publish(self.name, "x", dict(key, **other)), 422, "idempotency_key_reused")
        self.assertEqual(self.hidden(), [0])

    def test_chunked_and_without_a_type(self):
        with self.broker.client() as c:
            a = c.ask_chunked("POST", "/v1/topics/%s/messages" % self.name, [b"a", b"b"], HOUR)
        self.assertEqual(a.status, 201, a)
        self.assertEqual(self.hidden(), [0])


class Alone(Later, SoloBrokerTest):
    def setUp(self):
        self.name = "t"

    def test_it_waits_through_a_kill_and_a_restart(self):
        self.start()
        self.make()
        self.say("now")
        self.later("late", "1h")
        self.later("soon", "1s")
        self.ack(*self.receive(limit=1))
        seen = self.receive(lease="1h")  # sets both aside, if a second has not passed yet
        self.broker.kill()
        self.broker.start()
        self.assertEqual(self.sub()["lag"], 2)
        self.ack(*(seen or self.come()))
        self.broker.restart()
        s = self.sub()
        self.assertEqual((self.receive(), s["waiting"], s["lag"], s["delivered"]), ([], 1, 1, 2))

    def test_who_waits_is_not_woken_over_and_over_by_one_that_is_not_due(self):
        self.start()
        self.make()
        got = []
        waiting = [threading.Thread(target=lambda: got.append(self.data(wait=60, limit=1))) for _ in range(3)]
        for t in waiting:
            t.start()
        until(lambda: self.sub()["waiters"] == 3, what="three wait")
        before = self.broker.metric("sluice_commits_total")
        for n in range(1, 6):
            self.later("late", "1h")
            until(lambda: self.sub()["waiting"] == n, what="it is set aside")
            until(lambda: self.sub()["waiters"] == 3, what="three wait again")
        for _ in range(50):
            self.sub()
        # A publish and a look each; those who are let go together may each take a turn.
        self.assertLessEqual(self.broker.metric("sluice_commits_total") - before, 5 * 4)
        self.say("a", "b", "c")
        for t in waiting:
            t.join()
        self.assertEqual(sorted(sum(got, [])), ["a", "b", "c"])

    def test_thousands_at_once_come_at_their_time_and_once(self):
        self.start()
        self.make()
        a = self.broker.batch("t", "".join('{"data":%d,"deliver_after":"%dms"}\n' % (i, 300 + i % 7 * 50) for i in range(3000)))
        self.assertEqual(a.status, 201, a)
        self.assertEqual(self.sub()["lag"], 3000)
        seen = []
        while len(seen) < 3000:
            got = self.come(limit=1000, lease="1h")
            seen += [m["data"] for m in got]
            self.ack(*got)
        self.assertEqual(sorted(seen), list(range(3000)))
        self.assertEqual((self.sub()["lag"], self.sub()["delivered"]), (0, 3000))
