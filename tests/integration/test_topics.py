"""Topics: made, looked at, changed, emptied, deleted."""
from sluicetest import BrokerTest, quote, until


class Topics(BrokerTest):
    def put(self, body=None, name=None):
        return self.broker.ask("PUT", "/v1/topics/" + quote(name or self.name), body)

    def test_put_makes_it_once(self):
        body = '{"ttl":"5m","max_bytes":"1GiB","overflow":"drop_oldest"}'
        a = self.put(body)
        self.assertEqual(a.status, 201)
        t = a.json
        self.assertEqual((t["topic"], t["ttl"], t["max_bytes"], t["overflow"]), (self.name, "5m", 1 << 30, "drop_oldest"))
        self.assertEqual((t["earliest"], t["next"], t["messages"], t["bytes"], t["oldest_time"]), (0, 0, 0, 0, None))
        self.assertEqual(self.put(body).status, 200)
        self.assertEqual(self.put('{"overflow":"drop_oldest","max_bytes":1073741824,"ttl":300}').status, 200)
        self.assertProblem(self.put('{"ttl":"6m"}'), 409, "topic_exists", False)
        self.assertEqual(self.broker.topic(self.name)["ttl"], "5m")

    def test_put_without_a_body_means_the_defaults(self):
        t = self.put().json
        self.assertEqual((t["max_bytes"], t["overflow"]), (0, "reject"))
        self.assertEqual(self.put("{}").status, 200)

    def test_a_bad_setting_is_refused(self):
        for body in ('{"ttl":"soon"}', '{"tll":"5m"}', '{"overflow":"burn"}', '{"max_bytes":-1}', '[]', '{', '"x"',
                     '{"max_bytes":"1 GiB"}', '{"ttl":null,"ttl":1}x', '{"ttl":-5}', '{"max_bytes":1.5}'):
            with self.subTest(body=body):
                self.assertProblem(self.put(body), 400, retryable=False)
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + self.name).status, 404)

    def test_its_state_follows_its_messages(self):
        first = self.broker.publish(self.name, "12345").json["time"]
        self.broker.offset(self.name, "678")
        t = self.broker.topic(self.name)
        self.assertEqual((t["earliest"], t["next"], t["messages"], t["bytes"], t["oldest_time"], t["accepted"]),
                         (0, 2, 2, 8, first, 2))

    def test_patch_changes_what_it_names(self):
        self.put('{"ttl":"5m","max_bytes":1000}')
        a = self.broker.ask("PATCH", "/v1/topics/" + self.name, '{"ttl":"2h"}')
        self.assertEqual((a.status, a.json["ttl"], a.json["max_bytes"]), (200, "2h", 1000))
        a = self.broker.ask("PATCH", "/v1/topics/" + self.name, '{"max_bytes":null}')
        self.assertEqual((a.json["ttl"], a.json["max_bytes"]), ("2h", 0))
        self.assertProblem(self.broker.ask("PATCH", "/v1/topics/" + self.name, '{"nope":1}'), 400)
        self.assertProblem(self.broker.ask("PATCH", "/v1/topics/nowhere", '{"ttl":"2h"}'), 404, "topic_not_found")
        self.assertEqual(self.broker.topic(self.name)["ttl"], "2h")

    def test_delete_forgets_the_messages_but_not_the_offsets(self):
        for _ in range(3):
            self.broker.offset(self.name, "x")
        a = self.broker.ask("DELETE", "/v1/topics/" + self.name)
        self.assertEqual((a.status, a.body), (204, b""))
        self.assertProblem(self.broker.ask("GET", "/v1/topics/" + self.name), 404, "topic_not_found")
        self.assertProblem(self.broker.read(self.name), 404)
        self.assertProblem(self.broker.ask("DELETE", "/v1/topics/" + self.name), 404)
        self.assertEqual(self.broker.offset(self.name, "again"), 3)
        page = self.broker.read(self.name).json
        self.assertEqual([m["offset"] for m in page["messages"]], [3])
        self.assertConserved()

    def test_purge_in_its_three_forms(self):
        times = [self.broker.publish(self.name, str(i)).json["time"] for i in range(6)]
        path = "/v1/topics/%s:purge" % self.name
        a = self.broker.ask("POST", path, '{"before_offset":2}')
        self.assertEqual((a.status, a.json), (200, {"topic": self.name, "removed": 2}))
        left = self.broker.read(self.name).json
        self.assertEqual((left["earliest"], left["messages"][0]["offset"]), (2, 2))
        before = len([t for t in times[2:] if t < times[4]])
        self.assertEqual(self.broker.ask("POST", path, '{"before_time":"%s"}' % times[4]).json["removed"], before)
        self.assertEqual(self.broker.ask("POST", path, '{"all":true}').json["removed"], 4 - before)
        t = self.broker.topic(self.name)
        self.assertEqual((t["messages"], t["bytes"], t["next"], t["removed"]), (0, 0, 6, 6))
        self.assertEqual(self.broker.offset(self.name, "x"), 6)
        self.assertConserved()

    def test_a_purge_without_a_bound_purges_nothing(self):
        self.broker.offset(self.name, "x")
        path = "/v1/topics/%s:purge" % self.name
        for body in (None, "", "{}", '{"all":false}', '{"before_offset":-1}', '{"before_offset":"x"}',
                     '{"before_time":"x"}', '{"all":true,"before_offset":1}', '{"al":true}'):
            with self.subTest(body=body):
                self.assertProblem(self.broker.ask("POST", path, body), 400)
        self.assertEqual(self.broker.topic(self.name)["messages"], 1)
        self.assertProblem(self.broker.ask("POST", "/v1/topics/nowhere:purge", '{"all":true}'), 404)

    def test_a_large_purge_removes_every_message(self):
        for _ in range(4):
            self.broker.batch(self.name, '{"data":1}\n' * 5000)
        a = self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"all":true}')
        self.assertEqual(a.json["removed"], 20000)
        self.assertEqual(self.broker.read(self.name).json["messages"], [])
        self.assertConserved()

    def test_a_list_is_paged_in_order(self):
        names = sorted("%s/%s" % (self.name, x) for x in ("a", "b", "ü", "c d", "e"))
        for n in names:
            self.put(name=n)
        got, after = [], None
        while True:
            q = "prefix=%s&limit=2" % quote(self.name + "/") + ("&after=" + quote(after) if after else "")
            a = self.broker.ask("GET", "/v1/topics?" + q)
            self.assertEqual(a.status, 200)
            got += [t["topic"] for t in a.json["topics"]]
            after = a.json["next"]
            if after is None:
                break
            self.assertEqual(after, got[-1])
        self.assertEqual(got, sorted(names, key=lambda n: n.encode()))
        self.assertEqual(self.broker.ask("GET", "/v1/topics?prefix=no-such").json, {"topics": [], "next": None})

    def test_a_bad_list_query_is_400(self):
        for q in ("limit=0", "limit=x", "limit=100000"):
            self.assertProblem(self.broker.ask("GET", "/v1/topics?" + q), 400)

    def test_deleted_space_is_given_back(self):
        for _ in range(20):
            self.broker.offset(self.name, b"x" * 500000)
        full = self.broker.metric("sluice_store_used_bytes")
        self.broker.ask("DELETE", "/v1/topics/" + self.name)
        until(lambda: self.broker.metric("sluice_store_used_bytes") < full - 9000000, what="space comes back")
