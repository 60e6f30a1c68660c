"""PATCH of a subscription: some of its settings, while it is at work."""
import json
import threading

from sluicetest import BrokerTest, SoloBrokerTest, until
from test_subscriptions import Worker

DEFAULTS = {"lease": "30s", "max_deliveries": 0, "backoff": [], "dead_letter": None, "max_in_flight": 1000,
            "filter": None}
OTHERS = {"lease": "2m", "max_deliveries": 7, "backoff": ["1s", "1m"], "dead_letter": "dead", "max_in_flight": 5,
          "filter": {"attributes": {"type": "paid"}}}


class Patching(Worker):
    def patch_raw(self, sub=None, **settings):
        return self.broker.ask("PATCH", self.path(sub=sub), json.dumps(settings),
                               {"Content-Type": "application/merge-patch+json"})

    def patch(self, sub=None, **settings):
        a = self.patch_raw(sub, **settings)
        self.assertEqual(a.status, 200, a)
        return a.json

    def settings_of(self, shown):
        return {name: shown[name] for name in DEFAULTS}


class Patch(Patching, BrokerTest):
    def test_what_is_given_changes_and_the_rest_stays(self):
        self.make()
        now = dict(DEFAULTS)
        for name, value in OTHERS.items():
            now[name] = value
            self.assertEqual(self.settings_of(self.patch(**{name: value})), now)
        self.assertEqual(self.settings_of(self.sub()), OTHERS)

    def test_null_is_the_default(self):
        self.make(**OTHERS)
        now = dict(OTHERS)
        for name in OTHERS:
            now[name] = DEFAULTS[name]
            self.assertEqual(self.settings_of(self.patch(**{name: None})), now)

    def test_nothing_given_changes_nothing(self):
        before = self.make(**OTHERS)
        self.assertEqual(self.patch(), before)

    def test_where_it_stands_stays(self):
        self.make()
        self.say("a", "b", "c")
        a, b = self.receive(limit=2)
        self.ack(a)
        s = self.patch(lease="1m", max_in_flight=1)
        self.assertEqual((s["next"], s["lag"], s["in_flight"], s["acked"]), (2, 2, 1, 1))
        self.assertEqual(self.receive(), [])  # one is out, as many as there may be
        self.ack(b)
        self.assertEqual(self.data(), ["c"])

    def test_who_waits_gets_what_there_is_room_for_now(self):
        self.make(max_in_flight=1)
        self.say("a", "b")
        self.receive()
        got = []
        t = threading.Thread(target=lambda: got.append(self.data(wait=20)))
        t.start()
        until(lambda: self.sub()["waiters"] == 1, what="one waits")
        self.patch(max_in_flight=2)
        t.join()
        self.assertEqual(got, [["b"]])

    def test_who_waits_gets_what_the_new_filter_lets_through(self):
        self.make(filter=OTHERS["filter"])
        self.say("a")
        got = []
        t = threading.Thread(target=lambda: got.append(self.data(wait=20)))
        t.start()
        until(lambda: self.sub()["waiters"] == 1, what="one waits")
        self.patch(filter=None)
        t.join()
        self.assertEqual(got, [["a"]])  # it was seen, but `next` had not moved on yet

    def test_its_topic_and_ordering_stay_as_they_are(self):
        before = self.make(ordering="key")
        self.assertEqual(self.patch(topic=self.name, ordering="key"), before)
        for wrong in ({"topic": "other"}, {"ordering": "none"}, {"ordering": None}):
            self.assertProblem(self.patch_raw(lease="1h", **wrong), 409, "subscription_exists", False)
        for wrong in ({"topic": None}, {"start": "latest"}, {"start": None}, {"name": "x"}):
            self.assertProblem(self.patch_raw(lease="1h", **wrong), 400, "bad_setting", False)
        self.assertEqual(self.sub(), before)

    def test_what_is_no_setting_is_refused_and_nothing_is_changed(self):
        before = self.make(**OTHERS)
        for wrong in ({"lease": "13h"}, {"max_deliveries": -1}, {"backoff": "1s"}, {"max_in_flight": 0},
                      {"dead_letter": ""}, {"dead_letter": self.name}, {"filter": {}}):
            a = self.patch_raw(**dict({"lease": "1h"}, **wrong))
            p = self.assertProblem(a, 400, "bad_setting", False)
            self.assertIn(list(wrong)[0], p["detail"])
        self.assertProblem(self.broker.ask("PATCH", self.path(), "[]"), 400, "bad_json", False)
        self.assertEqual(self.sub(), before)

    def test_of_one_that_is_not_there_is_404(self):
        self.assertProblem(self.patch_raw(lease="1m"), 404, "subscription_not_found", False)

    def test_the_same_name_can_be_put_with_what_it_has_now(self):
        self.make()
        self.patch(**OTHERS)
        self.make(**OTHERS)
        a = self.broker.ask("PUT", self.path(), json.dumps({"topic": self.name}))
        self.assertProblem(a, 409, "subscription_exists")


class PatchAlone(Patching, SoloBrokerTest):
    def test_it_is_changed_after_a_restart(self):
        self.start()
        self.make()
        before = self.patch(**OTHERS)
        self.broker.restart()
        self.assertEqual(self.sub(), before)

    def test_there_are_no_more_subscriptions_than_the_setting_says(self):
        self.start(max_subscriptions=2)
        self.make("a")
        self.make("b")
        one_more = self.broker.ask("PUT", self.path(sub="c"), json.dumps({"topic": self.name}))
        p = self.assertProblem(one_more, 507, "too_many_subscriptions", True)
        self.assertIn("2 subscriptions", p["detail"])
        self.make("a")  # it is there
        self.patch("a", lease="1m")
        shown = self.broker.ask("GET", "/v1/limits").json["settings"]["max_subscriptions"]
        self.assertEqual(shown["value"], "2", shown)
        self.broker.ask("DELETE", self.path(sub="a"))
        self.make("c")
        self.broker.restart(max_subscriptions=0)
        self.make("d")

    def test_a_dead_letter_topic_must_be_there_where_none_is_made(self):
        self.start(auto_create=False)
        self.broker.ask("PUT", "/v1/topics/" + self.name, "{}")
        self.make()
        self.assertProblem(self.patch_raw(dead_letter="nowhere"), 404, "topic_not_found", False)
        self.broker.ask("PUT", "/v1/topics/dead", "{}")
        self.assertEqual(self.patch(dead_letter="dead")["dead_letter"], "dead")
