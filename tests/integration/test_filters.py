"""Filters: a subscription gets only messages with certain attributes, whatever else is in its topic."""
import json
import threading

from endpoint import Endpoint
from sluicetest import BrokerTest, SoloBrokerTest, until
from test_subscriptions import Worker

PAID = {"attributes": {"type": "paid"}}


class Filtering(Worker):
    def put(self, data, **attributes):
        headers = {"Message-" + name.replace("_", "-"): value for name, value in attributes.items()}
        return self.broker.offset(self.name, data, headers)

    def put_many(self, count, **attributes):
        line = json.dumps({"data": "x", "attributes": attributes})
        for _ in range(0, count, 1000):
            self.broker.batch(self.name, "\n".join([line] * min(count, 1000)))


class Filters(Filtering, BrokerTest):
    def test_only_what_matches_comes_and_the_rest_is_as_good_as_finished(self):
        self.make(filter=PAID)
        self.put("a", type="paid")
        self.put("b", type="open")
        self.put("c")
        self.put("d", type="paid")
        got = self.receive()
        self.assertEqual([(m["offset"], m["data"], m["deliveries"]) for m in got], [(0, "a", 1), (3, "d", 1)])
        self.ack(*got)
        self.assertEqual(self.receive(), [])
        s = self.sub()
        self.assertEqual((s["next"], s["lag"], s["acked"], s["in_flight"], s["held"]), (4, 0, 2, 0, 0))

    def test_all_attributes_must_be_there_with_exactly_these_values(self):
        self.make(filter={"attributes": {"Type": "paid", "Region": "eu"}})
        self.put("one", type="paid")
        self.put("both", type="paid", region="eu", till="7")
        self.put("another case", type="PAID", region="eu")
        self.put("longer", type="paid", region="eu-1")
        self.put("shorter", type="pai", region="eu")
        self.broker.batch(self.name, json.dumps({"data": "names know no case",
                                                 "attributes": {"TYPE": "paid", "rEGION": "eu"}}))
        self.assertEqual(self.data(), ["both", "names know no case"])

    def test_an_empty_value_is_a_value(self):
        self.make(filter={"attributes": {"note": ""}})
        self.broker.batch(self.name, json.dumps({"data": "none"}))
        self.broker.batch(self.name, json.dumps({"data": "empty", "attributes": {"note": ""}}))
        self.assertEqual(self.data(), ["empty"])

    def test_the_attributes_of_cloudevents_count_as_others_do(self):
        self.make(filter={"attributes": {"ce-type": "org.example.paid"}})
        event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/till", "ce-type": "org.example.paid"}
        self.broker.offset(self.name, "binary", event)
        self.broker.offset(self.name, "of another type", dict(event, **{"ce-type": "org.example.open"}))
        structured = {"specversion": "1.0", "id": "2", "source": "/till", "type": "org.example.paid",
                      "data": "structured"}
        a = self.broker.publish(self.name, json.dumps(structured), {"Content-Type": "application/cloudevents+json"})
        self.assertEqual(a.status, 201, a)
        self.assertEqual([m["offset"] for m in self.receive()], [0, 2])

    def test_large_messages_have_attributes_as_well(self):
        self.make(filter=PAID)
        large = "x" * (300 << 10)
        self.put(large, type="open")
        self.put(large, type="paid")
        self.assertEqual([(m["offset"], "href" in m or "data" in m) for m in self.receive()], [(1, True)])

    def test_what_does_not_match_holds_nothing_of_its_key_up(self):
        self.make(ordering="key", filter=PAID)
        for data, kind in (("a", "open"), ("b", "paid"), ("c", "open"), ("d", "paid")):
            self.broker.offset(self.name, data, {"Message-Key": "k", "Message-Type": kind})
        first = self.receive()
        self.assertEqual([m["data"] for m in first], ["b"])
        self.assertEqual(self.sub()["held"], 1)
        self.ack(*first)
        self.assertEqual(self.data(), ["d"])

    def test_what_is_given_back_comes_again(self):
        self.make(filter=PAID)
        self.put("b", type="open")
        self.put("a", type="paid")
        got = self.receive()
        self.settle("nack", *got)
        self.assertEqual([(m["data"], m["deliveries"]) for m in self.receive()], [("a", 2)])

    def test_after_a_seek_the_same_messages_match(self):
        self.make(filter=PAID)
        self.put("a", type="paid")
        self.put("b", type="open")
        self.put("c", type="paid")
        self.ack(*self.receive())
        a = self.broker.ask("POST", self.path("seek"), '{"offset":"earliest"}')
        self.assertEqual(a.status, 200, a)
        self.assertEqual(self.data(), ["a", "c"])

    def test_who_waits_gets_the_first_that_matches(self):
        self.make(filter=PAID)
        got = []
        t = threading.Thread(target=lambda: got.append(self.data(wait=20)))
        t.start()
        until(lambda: self.sub()["waiters"] == 1, what="one waits")
        for i in range(10):
            self.put("no %d" % i, type="open")
        self.put("yes", type="paid")
        t.join()
        self.assertEqual(got, [["yes"]])

    def test_several_who_wait_share_a_burst(self):
        self.make(filter=PAID)
        got = []
        threads = [threading.Thread(target=lambda: got.append(self.data(wait=20, limit=1))) for _ in range(4)]
        for t in threads:
            t.start()
        until(lambda: self.sub()["waiters"] == 4, what="four wait")
        lines = [json.dumps({"data": "%d" % i, "attributes": {"type": "paid" if i % 3 == 0 else "open"}})
                 for i in range(12)]
        self.broker.batch(self.name, "\n".join(lines))
        for t in threads:
            t.join()
        self.assertEqual(sorted(got), [["0"], ["3"], ["6"], ["9"]])

    def test_lag_counts_what_was_not_looked_at_whether_it_matches_or_not(self):
        self.make(filter=PAID)
        self.put_many(5, type="open")
        self.put("a", type="paid")
        self.put_many(5, type="open")
        self.assertEqual(self.sub()["lag"], 11)
        self.receive(limit=1)
        s = self.sub()
        self.assertEqual((s["next"], s["lag"]), (6, 6))

    def test_an_empty_answer_leaves_no_lag_behind(self):
        self.make(filter=PAID)
        self.put_many(5, type="open")
        self.assertEqual(self.receive(), [])
        s = self.sub()
        self.assertEqual((s["next"], s["lag"], s["oldest_unacked"]), (5, 0, None))
        self.put_many(5, type="open")
        self.assertEqual(self.receive(wait="50ms"), [])
        s = self.sub()
        self.assertEqual((s["next"], s["lag"]), (10, 0))

    def test_far_ahead_is_found_without_waiting(self):
        self.make(filter=PAID)
        self.put_many(30000, type="open")
        self.put("at last", type="paid")
        self.assertEqual(self.data(), ["at last"])
        self.assertEqual(self.sub()["next"], 30001)

    def test_an_empty_answer_says_that_nothing_is_there_however_much_does_not_match(self):
        self.make(filter=PAID)
        self.put_many(30000, type="open")
        self.assertEqual(self.data(), [])
        s = self.sub()
        self.assertEqual((s["next"], s["lag"]), (30000, 0))

    def test_it_is_shown_and_is_the_same_in_any_order(self):
        filter = {"attributes": {"Type": "paid", "Region": "\"eu\" \\ é"}}
        self.assertEqual(self.make(filter=filter)["filter"],
                         {"attributes": {"region": "\"eu\" \\ é", "type": "paid"}})
        again = {"attributes": {"region": "\"eu\" \\ é", "type": "paid"}}
        self.assertEqual(self.make(filter=again)["filter"], again)
        other = self.broker.ask("PUT", self.path(), json.dumps({"topic": self.name, "filter": PAID}))
        self.assertProblem(other, 409, "subscription_exists")
        none = self.broker.ask("PUT", self.path(), json.dumps({"topic": self.name}))
        self.assertProblem(none, 409, "subscription_exists")

    def test_none_is_null(self):
        for given in (None, {"attributes": {}}):
            self.assertIsNone(self.make(filter=given)["filter"])
        self.assertIsNone(self.make()["filter"])

    def test_one_of_the_longest_is_listed(self):
        filter = {"attributes": {"n%d" % i: "é\"\\" * 28 for i in range(8)}}
        for i in range(12):
            self.make("%s %d" % (self.name, i), filter=filter)
        page = self.broker.ask("GET", "/v1/subscriptions?limit=1000&prefix=%s%%20" % self.name).json
        self.assertEqual([s["filter"] for s in page["subscriptions"]], [filter] * 12)

    def test_what_is_no_filter_is_refused(self):
        many = {"a%d" % i: "x" for i in range(9)}
        for filter, why in (
                ("type", "attributes"), ([], "attributes"), ({}, "attributes"), ({"attribute": {}}, "attributes"),
                ({"attributes": []}, "attributes"), ({"attributes": {"a": "b"}, "more": 1}, "attributes"),
                ({"attributes": {"a": 1}}, "texts"), ({"attributes": {"a": None}}, "texts"),
                ({"attributes": {"a b": "x"}}, "token"), ({"attributes": {"": "x"}}, "token"),
                ({"attributes": {"key": "x"}}, "token"), ({"attributes": {"n" * 129: "x"}}, "token"),
                ({"attributes": {"a": "x\ny"}}, "control"), ({"attributes": {"a": "x", "A": "y"}}, "twice"),
                ({"attributes": many}, "at most 8"), ({"attributes": {"a": "x" * 1024}}, "too long")):
            a = self.broker.ask("PUT", self.path(), json.dumps({"topic": self.name, "filter": filter}))
            p = self.assertProblem(a, 400, "bad_setting", False)
            self.assertIn("\"filter\"", p["detail"])
            self.assertIn(why, p["detail"], filter)
        self.assertProblem(self.broker.ask("GET", self.path()), 404, "subscription_not_found")


class FiltersAlone(Filtering, SoloBrokerTest):
    def waiting(self, got, sub=None, **query):
        t = threading.Thread(target=lambda: got.append(self.data(sub, wait=30, **query)))
        t.start()
        return t

    def commits(self):
        return self.broker.metric("sluice_commits_total")

    def test_who_waits_costs_no_write_for_what_does_not_match(self):
        self.start()
        self.make(filter=PAID)
        got = []
        t = self.waiting(got)
        until(lambda: self.sub()["waiters"] == 1, what="one waits")
        before = self.commits()
        for i in range(50):
            self.put("no", type="open")
        self.assertEqual(self.commits() - before, 50)
        self.put("yes", type="paid")
        t.join()
        self.assertEqual(got, [["yes"]])
        self.assertEqual(self.commits() - before, 52)

    def test_of_many_filtered_subscriptions_only_the_one_that_matches_is_written(self):
        self.start()
        got = []
        threads = []
        for i in range(20):
            self.make("s%d" % i, filter={"attributes": {"till": str(i)}})
            threads.append(self.waiting(got, "s%d" % i))
        until(lambda: self.broker.metric("sluice_readers_parked") == 20, what="all wait")
        before = self.commits()
        self.put("for 7", till="7")
        until(lambda: got, what="the one it is for")
        self.assertEqual((got, self.commits() - before), ([["for 7"]], 2))
        self.broker.batch(self.name, "\n".join(
            json.dumps({"data": "for %d" % i, "attributes": {"till": str(i)}}) for i in range(20) if i != 7))
        for t in threads:
            t.join()
        self.assertEqual(sorted(got), sorted(["for %d" % i] for i in range(20)))

    def test_what_was_passed_over_is_written_now_and_then(self):
        self.start()
        self.make(filter=PAID)
        got = []
        t = self.waiting(got)
        until(lambda: self.sub()["waiters"] == 1, what="one waits")
        self.put_many(1000, type="open")
        self.put_many(1, type="open")
        until(lambda: self.sub()["next"] == 1001, what="next moves")
        self.assertEqual(self.sub()["lag"], 0)
        self.put("yes", type="paid")
        t.join()
        self.assertEqual(got, [["yes"]])

    def test_it_is_the_same_after_a_restart(self):
        self.start()
        self.make(filter=PAID)
        self.put("a", type="open")
        self.put("b", type="paid")
        self.broker.restart()
        self.assertEqual(self.sub()["filter"], PAID)
        self.assertEqual(self.data(), ["b"])

    def test_workers_share_what_matches_each_message_once(self):
        self.start()
        self.make(filter=PAID, lease="1h")
        total, got = 3000, []

        def work():
            c = self.broker.client()
            while len(got) < total // 3:
                for m in self.receive_raw(client=c, limit=20, wait="200ms").json["messages"]:
                    self.assertEqual(m["attributes"], {"type": "paid"})
                    got.append(m["offset"])
                    self.ack(m)
            c.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for first in range(0, total, 50):
            self.broker.batch(self.name, "\n".join(
                json.dumps({"data": "x", "attributes": {"type": "paid" if i % 3 == 0 else "open"}})
                for i in range(first, first + 50)))
        for t in threads:
            t.join()
        self.assertEqual(sorted(got), list(range(0, total, 3)))

    def test_only_what_matches_is_pushed_and_the_rest_costs_no_write(self):
        self.start(push_private=True)
        e = Endpoint(lambda got: 200)
        self.addCleanup(e.close)
        self.make(filter=PAID, push={"url": e.url()})
        self.put("a", type="paid")
        until(lambda: self.sub()["acked"] == 1, what="the first is taken")
        self.put("no", type="open")  # its answer comes when the commits before it are counted
        before = self.commits()
        for i in range(20):
            self.put("no", type="open")
        self.assertEqual(self.commits() - before, 20)
        self.put_many(3000, type="open")
        self.put("b", type="paid")
        until(lambda: self.sub()["acked"] == 2, what="the second is taken")
        self.assertEqual(e.bodies(), ["a", "b"])
        self.assertEqual(self.sub()["lag"], 0)
