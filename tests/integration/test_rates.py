"""Rate limits: who is refused, what the refusal says, and how limits change while running."""
import json
import os
import re
import signal
import threading
import time

import jwt
from sluicetest import SoloBrokerTest, quote, until

EVENT = {"specversion": "1.0", "id": "1", "source": "/", "type": "t"}
NAMESPACE = "persistent://public/default/"

# Every way in for messages; the topic is one that all of them can name.
WAYS_IN = {
    "one": lambda b, t: b.publish(t, "x"),
    "chunked": lambda b, t: chunked(b, t, [b"x"]),
    "ndjson batch": lambda b, t: b.batch(t, '{"data":1}\n'),
    "json batch": lambda b, t: b.batch(t, '{"messages":[{"data":1}]}', "application/json"),
    "binary event": lambda b, t: b.publish(t, "x", {"ce-" + k: v for k, v in EVENT.items()}),
    "structured event": lambda b, t: b.publish(t, json.dumps(EVENT), {"Content-Type": "application/cloudevents+json"}),
    "batch of events": lambda b, t: b.batch(t, json.dumps([EVENT]), "application/cloudevents-batch+json"),
    "pulsar": lambda b, t: pulsar(b, t, ""),
    "pulsar partition": lambda b, t: pulsar(b, t, "/partitions/0"),
    "mercure": lambda b, t: mercure(b, "x"),
}


def chunked(broker, topic, chunks):
    with broker.client() as c:
        return c.ask_chunked("POST", "/v1/topics/%s/messages" % quote(topic), chunks)


def pulsar(broker, topic, tail):
    path = "/topics/" + topic.replace("://", "/") + tail
    return broker.ask("POST", path, '{"messages":[{"payload":"x"}]}', {"Content-Type": "application/json"})


def mercure(broker, data):
    """Into the one topic that is the hub's."""
    return broker.ask("POST", "/.well-known/mercure", "topic=a&data=" + data,
                      dict(jwt.bearer(publish=["*"]), **{"Content-Type": "application/x-www-form-urlencoded"}))


def items(field):
    """A structured field's list of items: {name: {parameter: value}}."""
    out = {}
    for item in field.split(", "):
        name, *parameters = item.split(";")
        out[name.strip('"')] = {k: v.strip('"') for k, v in (p.split("=") for p in parameters)}
    return out


class Rates(SoloBrokerTest):
    def in_debt(self, topic="t", **settings):
        """A broker whose limit is used up for a long time."""
        self.start(**settings)
        while self.broker.publish(topic, "x" * 1000).status == 201:
            pass

    def patch(self, body):
        return self.broker.ask("PATCH", "/v1/limits", body)

    def setting(self, name):
        return self.broker.ask("GET", "/v1/limits").json["settings"][name]

    def accepted(self):
        return self.broker.metric("sluice_messages_accepted_total")

    # Refused.

    def test_every_way_in_keeps_every_limit_and_stores_nothing_when_refused(self):
        self.start(rate_burst="1ms", mercure_publisher_jwt_key=jwt.KEY)
        for scope in "broker", "topic", "caller":
            for name, publish in WAYS_IN.items():
                setting = ("publish" if scope == "broker" else scope) + "_rate_bytes"
                topic = NAMESPACE + scope + name.replace(" ", "-")
                with self.subTest(scope=scope, way=name):
                    self.patch('{"%s":1}' % setting)
                    large = "x" * 3600
                    a = mercure(self.broker, large) if name == "mercure" else self.broker.publish(topic, large)
                    self.assertIn(a.status, (200, 201))
                    before = self.accepted()
                    for _ in range(3):
                        a = publish(self.broker, topic)
                        self.assertEqual(a.status, 429)
                        self.assertIn(setting, a.text)
                        self.assertGreater(int(a.header("Retry-After")), 60)
                        self.assertEqual(items(a.header("RateLimit"))[scope + "-bytes"]["r"], "0")
                    self.assertEqual(self.accepted(), before)
                    self.patch('{"%s":0}' % setting)
                    self.assertIn(publish(self.broker, topic).status, (200, 201))
        self.assertIdle()
        m = self.broker.metrics()
        for scope in "broker", "topic", "caller":
            self.assertEqual(m['sluice_rate_limited_total{scope="%s"}' % scope], 3 * len(WAYS_IN))

    def test_a_refusal_comes_before_the_body_and_names_the_limit(self):
        self.in_debt(topic_rate_bytes="1KiB", rate_burst="1s")
        with self.broker.client() as c:
            a = c.ask("POST", "/v1/topics/t/messages", None,
                      {"Content-Length": "50000000", "Expect": "100-continue"})
        p = self.assertProblem(a, 429, "rate_limited", True)
        self.assertEqual(a.interim, [])
        self.assertIn("topic's limit of 1KiB per second (topic_rate_bytes)", p["detail"])
        self.assertEqual(int(a.header("Retry-After")), p["retry_after"])
        self.assertEqual(self.broker.publish("another", "x").status, 201)

    def test_who_waits_as_told_is_let_in(self):
        self.start(caller_rate_messages=2, rate_burst="1s")
        for _ in range(2):
            a = self.broker.publish("t", "x")
            while a.status == 201:
                a = self.broker.publish("t", "x")
            time.sleep(int(a.header("Retry-After")))
            self.assertEqual(self.broker.publish("t", "x").status, 201)

    def test_a_batch_of_any_size_passes_and_is_paid_for(self):
        """By its messages, whichever way it came."""
        self.start(topic_rate_messages=10)
        t = NAMESPACE + "t"
        many = '{"messages":[%s]}' % ",".join(['{"payload":"x"}'] * 2000)
        a = self.broker.ask("POST", "/topics/persistent/public/default/t", many, {"Content-Type": "application/json"})
        self.assertEqual(a.status, 200)
        self.assertIn(int(self.broker.publish(t, "x").header("Retry-After")), range(150, 201))

    def test_a_native_batch_of_any_size_passes_and_is_paid_for(self):
        self.start(topic_rate_messages=10)
        self.assertEqual(self.broker.batch("t", '{"data":1}\n' * 2000).status, 201)
        a = self.broker.publish("t", "x")
        self.assertProblem(a, 429, "rate_limited")
        self.assertIn(int(a.header("Retry-After")), range(150, 201))

    def test_bytes_of_unknown_length_are_paid_for(self):
        self.start(publish_rate_bytes=1000)
        self.assertEqual(chunked(self.broker, "t", [b"x" * 50000] * 4).status, 201)
        a = self.broker.publish("t", "x")
        self.assertProblem(a, 429, "rate_limited")
        self.assertIn(int(a.header("Retry-After")), range(150, 201))

    def test_what_is_refused_for_its_size_costs_nothing(self):
        self.start(publish_rate_bytes=1000, max_message_bytes="64KiB")
        for _ in range(5):
            self.assertProblem(self.broker.publish("t", "x" * 70000), 413, "too_large")
        self.assertEqual(self.broker.publish("t", "x").status, 201)

    def test_who_finds_no_room_gets_its_tokens_back(self):
        self.start(publish_buffer="2MiB", min_body_rate=0)
        holders = [self.broker.client() for _ in range(8)]
        for c in holders:
            c.send(c.head("POST", "/v1/topics/other/messages", {"Content-Length": "10000000"}))
        until(lambda: self.broker.metric("sluice_publish_waiting") > 0)
        self.patch('{"topic_rate_messages":1}')
        for _ in range(3):
            self.assertProblem(self.broker.publish("t", "x", {"Prefer": "wait=0"}), 503, "buffer_full")
        with self.broker.client() as leaver:  # and who leaves the line, too
            leaver.send(leaver.head("POST", "/v1/topics/t/messages", {"Content-Length": "1000000"}))
            until(lambda: self.broker.metric("sluice_requests_in_flight") == len(holders) + 1)
        until(lambda: self.broker.metric("sluice_requests_in_flight") == len(holders))
        self.assertProblem(self.broker.publish("t", "x", {"Prefer": "wait=0"}), 503, "buffer_full")
        for c in holders:
            c.close()
        self.assertIdle()
        self.assertEqual(self.broker.publish("t", "x").status, 201)
        self.assertProblem(self.broker.publish("t", "x"), 429, "rate_limited")

    def test_reading_and_managing_topics_are_not_limited(self):
        self.in_debt(publish_rate_bytes=1, caller_rate_bytes=1)
        self.assertEqual(len(self.broker.data("t")), 1)
        self.assertEqual(self.broker.ask("PUT", "/v1/topics/new").status, 201)

    def test_a_topics_own_limit_stands_in_place_of_the_brokers(self):
        self.start(topic_rate_messages=1)
        a = self.broker.ask("PUT", "/v1/topics/slow", '{"rate_bytes":"1KiB","rate_messages":"none"}')
        self.assertEqual((a.json["rate_bytes"], a.json["rate_messages"]), (1024, "none"))
        self.assertEqual(self.broker.publish("slow", "x" * 100000).status, 201)
        p = self.assertProblem(self.broker.publish("slow", "x"), 429, "rate_limited")
        self.assertIn("topic's limit of 1KiB per second (its own rate_bytes)", p["detail"])
        self.assertEqual(self.broker.ask("PATCH", "/v1/topics/slow", '{"rate_bytes":"none"}').status, 200)
        for _ in range(20):
            self.assertEqual(self.broker.publish("slow", "x").status, 201)
        self.broker.ask("PATCH", "/v1/topics/slow", '{"rate_messages":null,"rate_bytes":null}')
        self.assertEqual(self.broker.batch("slow", '{"data":1}\n' * 99).status, 201)
        self.assertProblem(self.broker.publish("slow", "x"), 429, "rate_limited")
        a = self.broker.ask("PATCH", "/v1/topics/slow", '{"rate_messages":"fast"}')
        self.assertIn("rate_messages", self.assertProblem(a, 400, "bad_setting")["detail"])

    def test_a_topics_own_limit_outlives_a_restart_but_for_one_publish(self):
        self.start()
        self.broker.ask("PUT", "/v1/topics/slow", '{"rate_messages":1}')
        self.broker.restart()
        self.assertEqual(self.broker.batch("slow", '{"data":1}\n' * 99).status, 201)
        self.assertEqual(self.broker.batch("slow", '{"data":1}\n' * 99).status, 201)
        self.assertProblem(self.broker.publish("slow", "x"), 429, "rate_limited")
        self.assertEqual(self.broker.topic("slow")["rate_messages"], 1)

    # Shown.

    def test_answers_say_where_the_client_stands(self):
        self.start(topic_rate_messages=100, caller_rate_bytes="1MiB", rate_burst="1s",
                   publish_buffer="2MiB")
        a = self.broker.publish("t", "x" * 1000)
        self.assertEqual(items(a.header("RateLimit-Policy")), {
            "topic-messages": {"q": "100", "w": "1"},
            "caller-bytes": {"q": str(1 << 20), "qu": "content-bytes", "w": "1"},
            "publish-buffer": {"q": str(2 << 20), "qu": "content-bytes"}})
        state = items(a.header("RateLimit"))
        self.assertIn(int(state["topic-messages"]["r"]), (99, 100))
        self.assertEqual(int(state["publish-buffer"]["r"]), 2 << 20)
        self.assertLessEqual(int(state["caller-bytes"]["r"]), 1 << 20)
        self.assertIn(state["caller-bytes"]["t"], ("0", "1"))
        self.assertIsNone(self.broker.read("t").header("RateLimit"))

    def test_without_limits_only_a_full_buffer_is_shown(self):
        self.start(publish_buffer="2MiB", min_body_rate=0)
        self.assertIsNone(self.broker.publish("t", "x").header("RateLimit"))
        holders = [self.broker.client() for _ in range(8)]
        for c in holders:
            c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "10000000"}))
        until(lambda: self.broker.metric("sluice_publish_waiting") > 0)
        a = self.broker.publish("t", "x", {"Prefer": "wait=0"})
        self.assertProblem(a, 503, "buffer_full", True)
        buffer = items(a.header("RateLimit"))["publish-buffer"]
        self.assertLess(int(buffer["r"]), 1 << 20)
        for c in holders:
            c.close()

    # Changed while running.

    def test_a_patch_is_done_as_a_whole_or_not_at_all(self):
        self.start()
        before = self.broker.ask("GET", "/v1/limits").json["settings"]
        for bad, name in (('"no_such":1', "no_such"), ('"listen":":80"', "listen"),
                          ('"read_wait_max":"long"', "read_wait_max"),
                          ('"topic_rate_bytes":1.5', "topic_rate_bytes"),
                          ('"topic_rate_messages":7', "topic_rate_messages"),
                          ('"topic_rate_bytes":true', "topic_rate_bytes")):
            a = self.patch('{"topic_rate_messages":7,%s}' % bad)
            self.assertIn(name, self.assertProblem(a, 400, "bad_setting", False)["detail"])
        self.assertProblem(self.patch("7"), 400, "bad_json")
        self.assertEqual(self.broker.ask("GET", "/v1/limits").json["settings"], before)

    def test_a_patch_holds_at_once_and_null_takes_it_back(self):
        self.start(read_wait_max="7s")
        a = self.patch('{"read_wait_max":3,"default_ttl":"1h","topic_rate_bytes":"2MiB"}')
        self.assertEqual(a.status, 200)
        shown = a.json["settings"]
        self.assertEqual(shown["read_wait_max"],
                         {"value": "3s", "from": "PATCH /v1/limits", "live": True})
        self.assertEqual(shown["topic_rate_bytes"]["value"], "2MiB")
        self.assertNotIn("live", shown["listen"])
        self.assertEqual(self.broker.publish("t", "x").header("TTL"), "3600")
        self.patch('{"read_wait_max":null,"default_ttl":null}')
        self.assertEqual(self.setting("read_wait_max"),
                         {"value": "7s", "from": "--read-wait-max", "live": True})
        self.assertEqual(self.broker.publish("t", "x").header("TTL"), str(7 * 86400))

    def test_limits_change_while_messages_come(self):
        self.start()
        over, answers = threading.Event(), []

        def publish():
            with self.broker.client() as c:
                while not over.is_set():
                    answers.append(c.ask("POST", "/v1/topics/t/messages", "x").status)
        threads = [threading.Thread(target=publish) for _ in range(4)]
        for t in threads:
            t.start()
        for i in range(100):
            self.assertEqual(self.patch('{"topic_rate_messages":%d,"default_ttl":"%dh"}' % (i % 7, 1 + i)).status, 200)
            self.broker.process.send_signal(signal.SIGHUP)
        over.set()
        for t in threads:
            t.join()
        self.assertEqual(set(answers) - {201, 429}, set())
        self.assertEqual(self.accepted(), answers.count(201))

    def test_sighup_reads_the_file_again_and_flags_still_win(self):
        path = self.a_file("topic_rate_messages = 100\nread_wait_max = 9s\n")
        self.start(config=path, read_wait_max="7s")
        self.patch('{"caller_rate_messages":5}')
        self.write(path, "# more\ntopic_rate_messages = 200\nread_wait_max = 9s\nmap_size = 32GiB\n")
        self.reload("event=reloaded")
        self.assertEqual(self.setting("topic_rate_messages"),
                         {"value": "200", "from": path + ":2", "live": True})
        self.assertEqual(self.setting("read_wait_max")["value"], "7s")
        self.assertEqual(self.setting("caller_rate_messages")["value"], "0")
        self.assertEqual(self.setting("map_size")["value"], "16GiB")
        self.assertRegex(self.broker.log(), "setting_needs_restart setting=map_size was=16GiB is=32GiB")

    def test_a_wrong_file_changes_nothing(self):
        path = self.a_file("topic_rate_messages = 100\n")
        self.start(config=path)
        self.write(path, "topic_rate_messages = 200\nno_such = 1\n")
        self.reload("event=reload_refused")
        self.assertIn("no_such: no such setting", self.broker.log())
        os.remove(path)
        self.reload("event=reload_refused.*event=reload_refused")
        self.assertEqual(self.setting("topic_rate_messages")["value"], "100")
        self.assertEqual(self.broker.publish("t", "x").status, 201)

    def a_file(self, text):
        path = "/tmp/sluice-rates-%d.conf" % os.getpid()
        self.write(path, text)
        self.addCleanup(lambda: os.path.exists(path) and os.remove(path))
        return path

    def write(self, path, text):
        with open(path, "w") as f:
            f.write(text)

    def reload(self, said):
        self.broker.process.send_signal(signal.SIGHUP)
        until(lambda: re.search(said, self.broker.log(), re.S), what=said)
