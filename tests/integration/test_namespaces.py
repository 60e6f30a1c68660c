"""Namespaces: quotas for all topics with one prefix, and how many topics there may be."""
import json

from sluicetest import BrokerTest, SoloBrokerTest, quote, until


class Namespaces(BrokerTest):
    @property
    def prefix(self):
        return self.name + "/"

    def path(self, prefix=None):
        return "/v1/namespaces/" + quote(self.prefix if prefix is None else prefix)

    def given(self, **settings):
        a = self.broker.ask("PUT", self.path(), json.dumps(settings))
        self.assertEqual(a.status, 201, a)
        return a.json

    def figures(self):
        n = self.broker.ask("GET", self.path()).json
        return n["topics"], n["messages"], n["bytes"]

    def test_its_life(self):
        self.assertProblem(self.broker.ask("GET", self.path()), 404, "namespace_not_found")
        self.assertProblem(self.broker.ask("PATCH", self.path(), "{}"), 404, "namespace_not_found")
        self.assertProblem(self.broker.ask("DELETE", self.path()), 404, "namespace_not_found")
        self.given(ttl="1h", max_bytes="1KiB", max_messages=5, max_topics=2)
        a = self.broker.ask("PUT", self.path(), '{"ttl":3600,"max_bytes":1024,"max_messages":5,"max_topics":2}')
        self.assertEqual(a.status, 200, a)
        self.assertProblem(self.broker.ask("PUT", self.path(), "{}"), 409, "namespace_exists")
        a = self.broker.ask("PATCH", self.path(), '{"max_bytes":null,"ttl":"never"}')
        self.assertEqual((a.json["ttl"], a.json["max_bytes"], a.json["max_messages"]), ("never", 0, 5))
        self.assertEqual(self.broker.ask("GET", self.path()).json, a.json)
        listed = self.broker.ask("GET", "/v1/namespaces?after=" + quote(self.name)).json
        self.assertIn(self.prefix, [n["prefix"] for n in listed["namespaces"]])
        self.assertEqual(self.broker.ask("DELETE", self.path()).status, 204)
        self.assertProblem(self.broker.ask("GET", self.path()), 404, "namespace_not_found")

    def test_bad_settings_are_refused(self):
        for bad in ('{"overflow":"drop_oldest"}', '{"overflow":"held"}', '{"max_topics":-1}', '{"max_age":"1h"}',
                    '{"ttl":"soon"}', '{"max_bytes":"1TB"}'):
            self.assertProblem(self.broker.ask("PUT", self.path(), bad), 400, "bad_setting")
        self.assertProblem(self.broker.ask("PUT", "/v1/namespaces/%FF", "{}"), 400)
        self.assertProblem(self.broker.ask("PUT", self.path(), "[]"), 400, "bad_json")
        self.assertEqual(self.broker.ask("GET", self.path()).status, 404)

    def test_it_counts_what_is_there_what_comes_and_what_goes(self):
        self.broker.offset(self.prefix + "old", "12345")
        self.given()
        self.assertEqual(self.figures(), (1, 1, 5))
        self.broker.offset(self.prefix + "new", "123")
        self.broker.offset(self.name, "outside")
        self.assertEqual(self.figures(), (2, 2, 8))
        self.broker.offset(self.prefix + "new", "gone soon", {"TTL": "100ms"})
        until(lambda: self.figures() == (2, 2, 8), what="one expired")
        self.broker.ask("POST", "/v1/topics/%s:purge" % quote(self.prefix + "new"), '{"all":true}')
        self.assertEqual(self.figures(), (2, 1, 5))
        self.broker.ask("DELETE", "/v1/topics/" + quote(self.prefix + "old"))
        self.assertEqual(self.figures(), (1, 0, 0))
        self.assertConserved()

    def test_its_quota_is_for_all_its_topics(self):
        self.given(max_messages=3)
        for i in range(3):
            self.broker.offset(self.prefix + str(i), "x")
        for topic in ("0", "another"):
            a = self.broker.publish(self.prefix + topic, "x")
            self.assertProblem(a, 507, "quota_full", retryable=True)
            self.assertEqual(a.json["limit_messages"], 3)
            self.assertIn(self.prefix, a.json["detail"])
        self.assertEqual(self.figures(), (3, 3, 3))
        self.broker.offset(self.name, "outside")
        self.broker.ask("POST", "/v1/topics/%s:purge" % quote(self.prefix + "1"), '{"all":true}')
        self.broker.offset(self.prefix + "another", "x")
        self.assertConserved()

    def test_so_many_topics_and_no_more(self):
        self.given(max_topics=1)
        self.broker.offset(self.prefix + "1", "x")
        for a in (self.broker.publish(self.prefix + "2", "x"),
                  self.broker.ask("PUT", "/v1/topics/" + quote(self.prefix + "2"), "{}")):
            self.assertProblem(a, 507, "too_many_topics", retryable=True)
            self.assertEqual(a.json["limit_topics"], 1)
        self.assertEqual(self.broker.ask("PUT", "/v1/topics/" + quote(self.prefix + "1"), "{}").status, 200)
        self.broker.ask("DELETE", "/v1/topics/" + quote(self.prefix + "1"))
        self.broker.offset(self.prefix + "2", "x")

    def test_its_ttl_is_that_of_topics_that_have_none(self):
        self.given(ttl="100ms")
        self.broker.offset(self.prefix + "short", "x")
        self.broker.offset(self.prefix + "short", "x", {"TTL": "1h"})
        self.broker.ask("PUT", "/v1/topics/" + quote(self.prefix + "long"), '{"ttl":"1h"}')
        self.broker.offset(self.prefix + "long", "x")
        until(lambda: self.figures() == (2, 1, 1), what="the short ones are gone")
        self.assertEqual(self.broker.topic(self.prefix + "long")["messages"], 1)


class NamespacesAndTheRest(SoloBrokerTest):
    def test_they_are_there_after_a_restart(self):
        b = self.start()
        b.ask("PUT", "/v1/namespaces/a%2F", '{"max_messages":2}')
        b.offset("a/1", "123")
        b.restart()
        n = b.ask("GET", "/v1/namespaces/a%2F").json
        self.assertEqual((n["max_messages"], n["topics"], n["messages"], n["bytes"]), (2, 1, 1, 3))
        b.offset("a/1", "123")
        self.assertProblem(b.publish("a/1", "x"), 507, "quota_full")

    def test_the_list_has_pages(self):
        b = self.start()
        longest = "/" * 240
        for i in range(200):
            a = b.ask("PUT", "/v1/namespaces/" + quote("%03d" % i + longest), "{}")
            self.assertEqual(a.status, 201, a)
        seen, after, pages = [], "", 0
        while after is not None:
            page = b.ask("GET", "/v1/namespaces?after=" + quote(after)).json
            seen += [n["prefix"][:3] for n in page["namespaces"]]
            after, pages = page["next"], pages + 1
        self.assertEqual(seen, ["%03d" % i for i in range(200)])
        self.assertGreater(pages, 1)

    def test_there_are_only_so_many_and_only_so_deep(self):
        b = self.start()
        for i in range(256):
            self.assertEqual(b.ask("PUT", "/v1/namespaces/%03d" % i, "{}").status, 201)
        a = b.ask("PUT", "/v1/namespaces/x", "{}")
        self.assertProblem(a, 507, "too_many_namespaces")
        self.assertEqual(a.json["limit_namespaces"], 256)
        for i in range(10):
            b.ask("DELETE", "/v1/namespaces/%03d" % i)
        for prefix in ("x", "xx", "xxx", "xxxx"):
            self.assertEqual(b.ask("PUT", "/v1/namespaces/" + prefix, "{}").status, 201)
        a = b.ask("PUT", "/v1/namespaces/xxxxx", "{}")
        self.assertProblem(a, 507, "too_many_namespaces")
        self.assertEqual(a.json["limit_depth"], 4)

    def test_the_broker_has_so_many_topics_and_no_more(self):
        b = self.start(max_topics=2)
        b.offset("1", "x")
        b.offset("2", "x")
        for a in (b.publish("3", "x"), b.batch("3", '{"data":1}\n'), b.ask("PUT", "/v1/topics/3", "{}")):
            self.assertProblem(a, 507, "too_many_topics", retryable=True)
            self.assertEqual(a.json["limit_topics"], 2)
        self.assertEqual(b.ask("GET", "/v1/topics/3").status, 404)
        b.offset("2", "x")
        b.ask("DELETE", "/v1/topics/1")
        b.offset("3", "x")
