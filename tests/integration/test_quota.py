"""What a topic, the map and a full disk may hold."""
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
