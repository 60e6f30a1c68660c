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


class Hold(SoloBrokerTest):
    """overflow hold: publishers wait outside until the topic has place."""

    def given(self, topic="t", **settings):
        a = self.broker.ask("PUT", "/v1/topics/" + topic, json.dumps(dict(settings, overflow="hold")))
        self.assertEqual(a.status, 201, a)

    def begin(self, topic="t", body=b"x", headers=None):
        c = self.broker.client()
        self.addCleanup(c.close)
        c.send(c.head("POST", "/v1/topics/%s/messages" % topic, dict({"Content-Length": str(len(body))}, **headers or {})))
        c.send(body)
        return c

    def wait_until_held(self, count):
        until(lambda: self.broker.metric("sluice_publishers_held") == count, what="%d wait outside" % count)

    def purge(self, before=None):
        body = {"all": True} if before is None else {"before_offset": before}
        self.assertEqual(self.broker.ask("POST", "/v1/topics/t:purge", json.dumps(body)).status, 200)

    def assertFull(self, answer):
        self.assertProblem(answer, 507, "quota_full", retryable=True)
        self.assertGreaterEqual(int(answer.header("Retry-After")), 1)

    def full(self, **settings):
        self.start(**settings)
        self.given(max_messages=1)
        self.broker.offset("t", "first")

    def test_who_finds_it_full_waits_until_it_is_not(self):
        self.full()
        c = self.begin()
        self.wait_until_held(1)
        self.assertEqual(self.broker.metric("sluice_publish_buffer_bytes"), 0)
        self.assertTrue(c.is_silent(0.2))
        self.purge()
        self.assertEqual((c.answer().status, self.broker.topic("t")["next"]), (201, 2))
        self.assertIdle()
        self.assertConserved()

    def test_what_expires_or_a_higher_limit_makes_place_as_well(self):
        self.start()
        self.given(max_messages=1)
        self.broker.offset("t", "soon gone", {"TTL": "500ms"})
        first = self.begin()
        self.assertEqual(first.answer().status, 201)
        second = self.begin()
        self.wait_until_held(1)
        self.broker.ask("PATCH", "/v1/topics/t", '{"max_messages":2}')
        self.assertEqual(second.answer().status, 201)
        third = self.begin()
        self.wait_until_held(1)
        self.broker.ask("PATCH", "/v1/topics/t", '{"overflow":"drop_oldest"}')
        self.assertEqual(third.answer().status, 201)
        self.assertEqual(self.broker.topic("t")["messages"], 2)

    def test_nobody_waits_longer_than_agreed(self):
        self.full(publish_wait_max="300ms")
        refused = self.broker.metric("sluice_quota_refused_total")
        for headers in (None, {"Prefer": "wait=0"}, {"Prefer": "wait=10"}):
            self.assertFull(self.begin(headers=headers).answer())
        self.assertEqual(self.broker.metric("sluice_quota_refused_total"), refused + 3)
        self.assertEqual(self.broker.topic("t")["next"], 1)
        self.assertIdle()
        self.wait_until_held(0)

    def test_who_leaves_is_forgotten(self):
        self.full()
        clients = [self.begin() for _ in range(5)]
        self.wait_until_held(5)
        for c in clients[1:]:
            c.close()
        self.wait_until_held(1)
        self.purge()
        self.assertEqual(clients[0].answer().status, 201)
        self.assertEqual(self.broker.topic("t")["next"], 2)
        self.assertIdle()

    def test_they_are_let_in_as_far_as_there_is_place_and_nobody_is_refused(self):
        self.start(loops=2)
        self.given(max_messages=5)
        clients = [self.begin() for _ in range(35)]
        for stored in range(5, 36, 5):
            until(lambda: self.broker.topic("t")["next"] == stored, what="%d are stored" % stored)
            self.wait_until_held(35 - stored)
            self.assertEqual(self.broker.topic("t")["messages"], 5)
            self.purge()
        self.assertEqual([c.answer().status for c in clients], [201] * 35)
        self.assertEqual(self.broker.metric("sluice_quota_refused_total"), 0)
        self.assertConserved()

    def test_bytes_are_booked_by_their_declared_length(self):
        self.start(loops=2)
        self.given(max_bytes=100000)
        clients = [self.begin(body=b"x" * 40000) for _ in range(6)]
        for stored in (2, 4, 6):
            until(lambda: self.broker.topic("t")["next"] == stored, what="%d are stored" % stored)
            self.wait_until_held(6 - stored)
            self.purge()
        self.assertEqual([c.answer().status for c in clients], [201] * 6)
        self.assertEqual(self.broker.metric("sluice_quota_refused_total"), 0)

    def test_what_never_fits_does_not_wait(self):
        self.start()
        self.given(max_bytes=1000)
        self.broker.offset("t", "x")
        a = self.broker.publish("t", b"x" * 1001)
        self.assertFull(a)
        self.assertEqual(a.json["limit_bytes"], 1000)

    def test_those_outside_keep_nobody_else_out(self):
        self.full(publish_buffer="512KiB", inline_max="64KiB", max_message_bytes="256KiB", max_batch_bytes="256KiB")
        for _ in range(20):
            self.begin(body=b"", headers={"Content-Length": "200000"})
        self.wait_until_held(20)
        self.assertEqual(self.broker.metric("sluice_publish_buffer_bytes"), 0)
        self.broker.offset("other", b"x" * 200000, {"Prefer": "wait=0"})

    def test_topics_that_share_a_slot_do_not_wait_for_one_another(self):
        def slot(name):  # as waiters_slot does it
            h = 2166136261
            for c in name.encode():
                h = (h ^ c) * 16777619 & 0xffffffff
            return (h ^ h >> 15) & 4095
        self.full(loops=1)
        others = [name for name in ("other-%d" % i for i in range(20000)) if slot(name) == slot("t")][:2]
        self.begin()
        self.wait_until_held(1)
        for other in others:
            self.given(other, max_messages=1)
            self.broker.offset(other, "x", {"Prefer": "wait=0"})
        second = self.begin(others[0])
        self.wait_until_held(2)
        self.broker.ask("POST", "/v1/topics/%s:purge" % others[0], '{"all":true}')
        self.broker.ask("POST", "/v1/topics/%s:purge" % others[1], '{"all":true}')
        self.assertEqual(second.answer().status, 201)
        self.broker.offset(others[1], "x")
        self.wait_until_held(1)

    def test_a_namespace_that_holds(self):
        self.start()
        self.broker.ask("PUT", "/v1/namespaces/n", '{"max_messages":2,"overflow":"hold"}')
        self.broker.offset("n1", "x")
        self.broker.offset("n2", "x")
        clients = [self.begin("n1"), self.begin("n2")]
        self.wait_until_held(2)
        self.broker.ask("DELETE", "/v1/topics/n1")
        until(lambda: self.broker.metric("sluice_publishers_held") == 1, what="one came in")
        self.broker.ask("DELETE", "/v1/namespaces/n")
        self.assertEqual([c.answer().status for c in clients], [201, 201])
        self.assertConserved()

    def test_age_keeps_out_until_the_old_are_gone(self):
        self.start()
        self.given(max_age="100ms")
        self.broker.offset("t", "old")
        until(lambda: self.broker.publish("t", "x", {"Prefer": "wait=0"}).status == 507, what="it is too old")
        c = self.begin()
        self.wait_until_held(1)
        self.purge()
        self.assertEqual(c.answer().status, 201)

    def test_a_shutdown_lets_them_go(self):
        self.full()
        c = self.begin()
        self.wait_until_held(1)
        self.broker.terminate()
        self.assertProblem(c.answer(), 503, "draining")
        self.broker.wait_exit()
        self.broker.start()
        self.assertEqual(self.broker.topic("t")["next"], 1)


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
