"""What a topic, the map and a full disk may hold."""
import json

from sluicetest import BrokerTest, SoloBrokerTest, until


class Quota(BrokerTest):
    def given(self, overflow):
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"max_bytes":10000,"overflow":"%s"}' % overflow)

    def test_reject_refuses_what_does_not_fit(self):
        self.given("reject")
        for _ in range(10):
            self.broker.offset(self.name, b"x" * 1000)
        self.assertProblem(self.broker.publish(self.name, b"y"), 507)
        t = self.broker.topic(self.name)
        self.assertEqual((t["messages"], t["bytes"], t["next"]), (10, 10000, 10))
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"before_offset":1}')
        self.assertEqual(self.broker.offset(self.name, b"x" * 1000), 10)

    def test_drop_oldest_makes_room(self):
        self.given("drop_oldest")
        for i in range(25):
            self.broker.offset(self.name, b"%03d" % i + b"x" * 997)
        t = self.broker.topic(self.name)
        self.assertEqual((t["messages"], t["bytes"], t["earliest"], t["next"], t["removed"]), (10, 10000, 15, 25, 15))
        self.assertEqual([d[:3] for d in self.broker.data(self.name)], ["%03d" % i for i in range(15, 25)])
        self.broker.offset(self.name, b"y" * 9500)
        t = self.broker.topic(self.name)
        self.assertEqual((t["messages"], t["bytes"]), (1, 9500))
        self.assertConserved()

    def test_what_can_never_fit_is_refused(self):
        for overflow in ("reject", "drop_oldest"):
            self.broker.ask("DELETE", "/v1/topics/" + self.name)
            self.given(overflow)
            self.broker.offset(self.name, "keep")
            self.assertIn(self.broker.publish(self.name, b"x" * 10001).status, (413, 507))
            self.assertEqual(self.broker.topic(self.name)["messages"], 1)

    def test_a_batch_beyond_the_quota_stores_nothing(self):
        self.given("reject")
        self.broker.offset(self.name, b"x" * 9000)
        lines = '{"data":"%s"}\n' % ("y" * 400) * 3
        self.assertProblem(self.broker.batch(self.name, lines), 507)
        self.assertEqual(self.broker.topic(self.name)["next"], 1)

    def test_expiry_makes_room_again(self):
        self.given("reject")
        self.broker.offset(self.name, b"x" * 9000, {"TTL": "300ms"})
        self.assertProblem(self.broker.publish(self.name, b"y" * 9000), 507)
        until(lambda: self.broker.publish(self.name, b"y" * 9000).status == 201, what="room after expiry")

    def test_a_large_message_counts_with_all_its_bytes(self):
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"max_bytes":"1MiB","overflow":"reject"}')
        self.broker.offset(self.name, b"x" * 700000)
        self.assertProblem(self.broker.publish(self.name, b"x" * 700000), 507)
        self.assertEqual(self.broker.topic(self.name)["bytes"], 700000)


class QuotaOfMessagesAndAge(BrokerTest):
    def given(self, **settings):
        a = self.broker.ask("PUT", "/v1/topics/" + self.name, json.dumps(settings))
        self.assertEqual(a.status, 201, a)

    def assertFull(self, answer, member, value):
        self.assertProblem(answer, 507, "quota_full", retryable=True)
        self.assertEqual(answer.json[member], value)
        self.assertGreaterEqual(int(answer.header("Retry-After")), 1)

    def test_settings_are_shown_and_changed(self):
        self.given(max_messages=7, max_age="90s")
        t = self.broker.topic(self.name)
        self.assertEqual((t["max_messages"], t["max_age"]), (7, "90s"))
        a = self.broker.ask("PATCH", "/v1/topics/" + self.name, '{"max_messages":null,"max_age":120}')
        self.assertEqual((a.status, a.json["max_messages"], a.json["max_age"]), (200, 0, "2m"))
        for bad in ('{"max_messages":-1}', '{"max_messages":1.5}', '{"max_messages":"many"}', '{"max_age":"soon"}',
                    '{"max_age":-1}', '{"max_ages":1}'):
            self.assertProblem(self.broker.ask("PATCH", "/v1/topics/" + self.name, bad), 400, "bad_setting")
        self.assertProblem(self.broker.ask("PUT", "/v1/topics/" + self.name, '{"max_messages":8}'), 409)

    def test_so_many_messages_and_no_more(self):
        refused = self.broker.metric("sluice_quota_refused_total")
        self.given(max_messages=3)
        self.assertEqual(self.broker.batch(self.name, '{"data":1}\n{"data":2}\n').status, 201)
        self.assertFull(self.broker.batch(self.name, '{"data":3}\n{"data":4}\n'), "limit_messages", 3)
        self.assertEqual(self.broker.offset(self.name, "3"), 2)
        self.assertFull(self.broker.publish(self.name, "4"), "limit_messages", 3)
        self.assertEqual(self.broker.metric("sluice_quota_refused_total"), refused + 2)
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"before_offset":1}')
        self.assertEqual(self.broker.offset(self.name, "4"), 3)
        self.assertConserved()

    def test_the_last_so_many_messages(self):
        self.given(max_messages=10, overflow="drop_oldest")
        for i in range(25):
            self.broker.offset(self.name, "%d" % i)
        t = self.broker.topic(self.name)
        self.assertEqual((t["messages"], t["earliest"], t["removed"]), (10, 15, 15))
        self.assertConserved()

    def test_a_backlog_that_is_too_old_keeps_publishers_out(self):
        self.given(max_age="100ms")
        self.broker.offset(self.name, "old")
        refused = until(lambda: (a := self.broker.publish(self.name, "new")).status != 201 and a, what="it is too old")
        self.assertFull(refused, "limit_age_ms", 100)
        stored = self.broker.topic(self.name)["next"]
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"all":true}')
        self.assertEqual(self.broker.offset(self.name, "newer"), stored)

    def test_what_is_too_old_is_dropped(self):
        self.given(max_age="100ms", overflow="drop_oldest")
        self.broker.offset(self.name, "old")

        def dropped():
            self.broker.offset(self.name, "new")
            return self.broker.topic(self.name)["removed"]
        until(dropped, what="the old one is dropped")
        self.assertConserved()


class FullMap(SoloBrokerTest):
    def test_a_full_map_refuses_and_recovers(self):
        """Fill it, see 507 and not a crash, read all that was accepted, purge, go on."""
        b = self.start(map_size="8MiB")
        accepted, refused = 0, None
        while refused is None and accepted < 1000:
            a = b.publish("fill", b"%06d" % accepted + b"x" * 50000)
            if a.status == 201:
                accepted += 1
            else:
                refused = a
        self.assertProblem(refused, 507)
        self.assertGreater(accepted, 20)
        self.assertEqual(b.topic("fill")["messages"], accepted)
        for i in (0, accepted - 1):
            self.assertEqual(b.message("fill", i).body[:6], b"%06d" % i)
        self.assertEqual(b.ask("POST", "/v1/topics/fill:purge", '{"all":true}').json["removed"], accepted)
        until(lambda: b.publish("fill", b"x" * 50000).status == 201, what="room after a purge")
        b.restart()
        self.assertEqual(b.topic("fill")["messages"], 1)
        self.assertConserved()

    def test_a_full_map_can_be_trimmed_by_ttl_and_deletion(self):
        b = self.start(map_size="8MiB")

        def fill(topic, headers=None):
            n = 0
            while b.publish(topic, b"x" * 100000, headers).status == 201:
                n += 1
            return n
        self.assertGreater(fill("short", {"TTL": "4s"}), 20)
        until(lambda: b.topic("short")["messages"] == 0, what="the sweep in a full map")
        self.assertGreater(fill("long"), 20)
        self.assertEqual(b.ask("DELETE", "/v1/topics/long").status, 204)
        until(lambda: b.publish("again", b"x" * 100000).status == 201, what="room after deletion")
        self.assertConserved()
