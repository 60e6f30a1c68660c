"""Push: a subscription with a URL, to which the broker POSTs each message."""
import json
import threading
import time

from endpoint import Endpoint, certificate
from sluicetest import BrokerTest, SoloBrokerTest, quote, until

SETTINGS = {"push_private": True, "loops": 1}


class Pushing:
    """Short words for what has to do with a subscription that is pushed."""

    def endpoint(self, answer=lambda got: 200, **more):
        e = Endpoint(answer, **more)
        self.addCleanup(e.close)
        return e

    def path(self, verb="", sub=None):
        return "/v1/subscriptions/%s%s" % (quote(sub or self.name), verb and ":" + verb)

    def put(self, url, sub=None, **settings):
        settings.setdefault("topic", sub or self.name)
        return self.broker.ask("PUT", self.path(sub=sub), json.dumps(dict(settings, push=url and {"url": url})))

    def make(self, url, sub=None, **settings):
        a = self.put(url, sub, **settings)
        self.assertEqual(a.status, 201, a)
        return a.json

    def say(self, *bodies, topic=None, **headers):
        for body in bodies:
            self.broker.offset(topic or self.name, body, {k.replace("_", "-"): v for k, v in headers.items()})

    def sub(self, sub=None):
        a = self.broker.ask("GET", self.path(sub=sub))
        self.assertEqual(a.status, 200, a)
        return a.json

    def all_acked(self, count, sub=None):
        until(lambda: self.sub(sub)["acked"] == count, what="%d acked" % count)


class Push(Pushing, BrokerTest):
    settings = SETTINGS

    def test_each_message_is_posted_once_and_acked_by_2xx(self):
        e = self.endpoint(lambda got: 204)
        self.make(e.url("/hook"))
        self.say("a", "b", "c")
        self.all_acked(3)
        self.assertEqual(sorted(e.bodies()), ["a", "b", "c"])
        self.assertEqual({g.path for g in e.got}, {"/hook"})
        s = self.sub()
        self.assertEqual((s["lag"], s["in_flight"], s["redelivered"]), (0, 0, 0))

    def test_messages_from_before_the_subscription_come_too(self):
        e = self.endpoint()
        self.say("old")
        self.make(e.url(), start="earliest")
        self.say("new")
        self.all_acked(2)
        self.assertEqual(sorted(e.bodies()), ["new", "old"])

    def test_what_is_refused_comes_again(self):
        e = self.endpoint(lambda got: 500 if len(e.got) == 1 else 200)
        self.make(e.url(), backoff=["0s"])
        self.say("a")
        self.all_acked(1)
        self.assertEqual(e.bodies(), ["a", "a"])
        self.assertEqual([g.headers["Message-Deliveries"] for g in e.got], ["1", "2"])
        self.assertEqual(self.sub()["redelivered"], 1)

    def test_the_headers_say_what_a_raw_read_says_and_for_whom_it_is(self):
        e = self.endpoint()
        self.make(e.url(), sub=self.name + "-sub", topic=self.name)
        parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        self.say(b"{}", Content_Type="application/json", Message_Key="k\u00e4", Message_Till_No="7", traceparent=parent,
                 TTL="1h")
        self.say(b"\x00\xff")
        first, second = sorted(e.take(2), key=lambda g: int(g.headers["Message-Offset"]))
        raw = self.broker.message(self.name, 0)
        for name in ("Message-Offset", "Message-Time", "Message-Expires-At", "Message-Key", "Message-Till-No",
                     "Content-Type", "traceparent"):
            self.assertEqual(first.headers[name].encode("latin-1").decode(), raw.header(name), name)
        self.assertEqual(first.headers["traceparent"], parent)
        self.assertEqual(first.headers["Message-Topic"], self.name)
        self.assertEqual(first.headers["Message-Subscription"], self.name + "-sub")
        self.assertEqual(first.headers["Message-Deliveries"], "1")
        self.assertTrue(first.headers["User-Agent"].startswith("sluice/"))
        self.assertIsNone(first.headers["Expect"])
        self.assertEqual((second.headers["Content-Type"], second.body), ("application/octet-stream", b"\x00\xff"))

    def test_an_attribute_that_is_called_like_a_header_of_ours_is_left_out_and_counted(self):
        e = self.endpoint()
        self.make(e.url())
        self.say("a", Message_Topic="other", Message_Deliveries="99", Message_Mine="x")
        got = e.take(1)[0]
        self.assertEqual(got.headers.get_all("Message-Topic"), [self.name])
        self.assertEqual(got.headers.get_all("Message-Deliveries"), ["1"])
        self.assertEqual((got.headers["Message-Mine"], got.headers["Attributes-Omitted"]), ("x", "2"))

    def test_an_event_comes_as_an_event_in_binary_mode(self):
        e = self.endpoint()
        self.make(e.url())
        event = {"specversion": "1.0", "id": "A 1", "source": "/doors", "type": "test.\u00e4", "time": "2026-01-02T03:04:05Z",
                 "subject": "s", "mine": "7", "datacontenttype": "application/json", "data": {"n": [1, 2]}}
        a = self.broker.publish(self.name, json.dumps(event), {"Content-Type": "application/cloudevents+json"})
        self.assertEqual(a.status, 201, a)
        got = e.take(1)[0]
        found = {k.lower()[3:]: v for k, v in got.headers.items() if k.lower().startswith("ce-")}
        self.assertEqual(found, {"specversion": "1.0", "id": "A%201", "source": "/doors", "type": "test.%C3%A4",
                                 "time": "2026-01-02T03:04:05Z", "subject": "s", "mine": "7"})
        self.assertEqual(got.headers["Content-Type"], "application/json")
        self.assertEqual(json.loads(got.body), {"n": [1, 2]})

    def test_a_large_message_is_streamed_and_comes_whole(self):
        e = self.endpoint()
        self.make(e.url())
        body = bytes(range(256)) * 12289  # 3 MiB and 256 bytes
        self.say(body, b"", body[:200000])
        self.all_acked(3)
        self.assertEqual(sorted(len(g.body) for g in e.got), [0, 200000, len(body)])
        self.assertEqual(max((g.body for g in e.got), key=len), body)

    def test_who_refuses_it_too_often_has_it_as_a_dead_letter(self):
        e = self.endpoint(lambda got: 200 if got.body == b"good" else 422)
        self.make(e.url(), max_deliveries=3, backoff=["0s"], dead_letter=self.name + "-dead")
        self.say("bad", "good")
        until(lambda: self.sub()["dead"] == 1)
        self.assertEqual(e.bodies().count("bad"), 3)
        dead = self.broker.read(self.name + "-dead").json["messages"]
        self.assertEqual([m["data"] for m in dead], ["bad"])
        self.all_acked(1)

    def test_the_messages_of_a_key_come_in_order_although_some_are_refused(self):
        refused = set()

        def answer(got):
            with lock:
                if got.body.endswith(b"3") and got.body not in refused:
                    refused.add(got.body)
                    return 500
                taken.append(got.body.decode())
                return 200

        lock, taken = threading.Lock(), []
        e = self.endpoint(answer)
        self.make(e.url(), ordering="key", backoff=["50ms"])
        for n in range(6):
            for key in "abc":
                self.say("%s%d" % (key, n), Message_Key=key)
        self.all_acked(18)
        for key in "abc":
            self.assertEqual([t for t in taken if t[0] == key], ["%s%d" % (key, n) for n in range(6)])

    def test_no_more_than_push_concurrency_are_on_their_way_and_so_many_are(self):
        enough = threading.Event()

        def answer(got):
            if len(e.got) > 1:  # behind the first, which proves the endpoint
                if e.now >= 4:
                    enough.set()
                enough.wait(30)
            return 200

        e = self.endpoint(answer)
        self.make(e.url())
        self.say("first")
        self.all_acked(1)
        self.say(*("m%d" % n for n in range(20)))
        self.all_acked(21)
        self.assertEqual(e.at_once, 4)

    def test_max_in_flight_bounds_it_too(self):
        e = self.endpoint(lambda got: time.sleep(0.02) or 200)
        self.make(e.url(), max_in_flight=1)
        self.say(*("m%d" % n for n in range(8)))
        self.all_acked(8)
        self.assertEqual((e.at_once, e.bodies()), (1, ["m%d" % n for n in range(8)]))

    def test_retry_after_is_waited_for(self):
        times = []

        def answer(got):
            times.append(time.monotonic())
            return (503, {"Retry-After": "1"}, b"") if len(times) == 1 else 200

        e = self.endpoint(answer)
        self.make(e.url(), backoff=["0s"])
        self.say("a")
        self.all_acked(1)
        self.assertGreaterEqual(times[1] - times[0], 0.99)

    def test_who_hangs_up_is_asked_again_and_the_subscription_says_so(self):
        hang_up = threading.Event()
        e = self.endpoint(lambda got: 200 if hang_up.is_set() else None)
        self.make(e.url(), backoff=["0s"])
        self.assertEqual(self.sub()["push"], {"url": e.url(), "last_error": None, "failing_since": None})
        self.say("a")
        push = until(lambda: (lambda p: p["last_error"] and p)(self.sub()["push"]))
        self.assertRegex(push["failing_since"], r"^20\d\d-.*Z$")
        hang_up.set()
        self.all_acked(1)
        self.assertEqual(self.sub()["push"], {"url": e.url(), "last_error": None, "failing_since": None})

    def test_a_redirect_is_not_followed(self):
        other = self.endpoint()
        e = self.endpoint(lambda got: (307, {"Location": other.url()}, b"") if len(e.got) == 1 else 200)
        self.make(e.url(), backoff=["0s"])
        self.say("a")
        self.all_acked(1)
        self.assertEqual((len(e.got), other.got), (2, []))

    def test_an_answer_that_does_not_end_is_not_read_on(self):
        e = self.endpoint(lambda got: (200, {"Content-Length": str(1 << 40)}, b"x" * 100000))
        self.make(e.url())
        self.say("a", "b")
        self.all_acked(2)
        self.assertEqual(len(e.got), 2)

    def test_a_head_without_end_is_not_read_on(self):
        e = self.endpoint(lambda got: (200, {"X-%d" % n: "x" * 1000 for n in range(60)} if len(e.got) == 1 else {}, b""))
        self.make(e.url(), backoff=["0s"])
        self.say("a")
        self.all_acked(1)
        self.assertLessEqual(len(e.got), 2)  # the status came first, and may count

    def test_a_line_of_the_head_without_end_is_not_read_on(self):
        e = self.endpoint(lambda got: (200, {"X": "x" * 5000000} if len(e.got) == 1 else {}, b""))
        self.make(e.url(), backoff=["0s"])
        self.say("a", "b")
        self.all_acked(2)
        self.assertLessEqual(len(e.got), 3)

    def test_a_slow_endpoint_delays_no_other_and_no_publisher(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        slow, fast = self.endpoint(lambda got: go_on.wait(60) and 200), self.endpoint()
        self.make(slow.url(), sub=self.name + "-slow", topic=self.name)
        self.make(fast.url(), sub=self.name + "-fast", topic=self.name)
        self.say(*("m%d" % n for n in range(50)))
        self.all_acked(50, self.name + "-fast")
        self.assertEqual(self.sub(self.name + "-slow")["acked"], 0)
        self.assertEqual(slow.at_once, 1)  # it has proven nothing
        go_on.set()
        self.all_acked(50, self.name + "-slow")

    def test_consumers_may_receive_of_it_as_well(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        e = self.endpoint(lambda got: go_on.wait(60) and 200)
        self.make(e.url())
        self.say("a")
        e.take(1)
        self.say("b")
        a = until(lambda: self.broker.ask("POST", self.path("receive"), "").json["messages"])
        self.assertEqual([m["data"] for m in a], ["b"])
        go_on.set()
        self.all_acked(1)
        self.assertEqual(e.bodies(), ["a"])

    def test_one_that_is_deleted_is_not_pushed_any_more(self):
        e = self.endpoint()
        self.make(e.url())
        self.say("a")
        self.all_acked(1)
        before = self.broker.metric("sluice_push_subscriptions")
        self.assertEqual(self.broker.ask("DELETE", self.path()).status, 204)
        until(lambda: self.broker.metric("sluice_push_subscriptions") == before - 1)
        self.say("b")
        other = self.endpoint()
        self.make(other.url(), start="earliest")
        self.all_acked(2)
        self.assertEqual((e.bodies(), sorted(other.bodies())), (["a"], ["a", "b"]))

    def test_a_seek_while_one_is_on_its_way_begins_anew(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        e = self.endpoint(lambda got: go_on.wait(60) and 200)
        self.make(e.url())
        self.say("a", "b")
        e.take(1)
        a = self.broker.ask("POST", self.path("seek"), '{"offset":"earliest"}')
        self.assertEqual(a.status, 200, a)
        go_on.set()
        until(lambda: self.sub()["lag"] == 0)
        self.assertEqual(sorted(set(e.bodies())), ["a", "b"])

    def test_urls_that_are_none_are_refused(self):
        for push, word in (({"url": "ftp://a/"}, "http"), ({"url": "http://u:p@a/"}, "user"), ({"url": "http://a/#b"}, "fragment"),
                           ({"url": "http:///x"}, "host"), ({"url": "http://a:0/"}, "port"), ({"url": "http://a b/"}, "%XX"),
                           ({"url": "http://a/" + "x" * 1024}, "1024"), ({}, "push"), ({"url": 7}, "push"), ("http://a/", "push"),
                           ({"url": "http://a/", "more": 1}, "push"), ([], "push")):
            a = self.broker.ask("PUT", self.path(), json.dumps({"topic": self.name, "push": push}))
            self.assertIn(word, self.assertProblem(a, 400, "bad_setting")["detail"])
        self.assertEqual(self.broker.ask("GET", self.path()).status, 404)

    def test_the_same_put_is_fine_and_another_url_is_another_setting(self):
        e = self.endpoint()
        self.make(e.url("/a"))
        self.assertEqual(self.put(e.url("/a")).status, 200)
        self.assertProblem(self.put(e.url("/b")), 409, "subscription_exists")
        self.assertProblem(self.put(None), 409, "subscription_exists")

    def test_a_patch_gives_another_url_and_takes_it_away(self):
        first, second = self.endpoint(lambda got: 500), self.endpoint()
        self.make(None)
        self.say("a")
        a = self.broker.ask("PATCH", self.path(), json.dumps({"push": {"url": first.url()}, "backoff": ["0s"]}))
        self.assertEqual((a.status, a.json["push"]["url"]), (200, first.url()))
        first.take(1)
        a = self.broker.ask("PATCH", self.path(), json.dumps({"push": {"url": second.url("/second")}}))
        self.assertEqual(a.json["push"]["url"], second.url("/second"))
        self.all_acked(1)
        before = self.broker.metric("sluice_push_subscriptions")
        self.assertIsNone(self.broker.ask("PATCH", self.path(), '{"push":null}').json["push"])
        until(lambda: self.broker.metric("sluice_push_subscriptions") == before - 1)
        self.say("b")
        self.assertEqual([m["data"] for m in self.broker.ask("POST", self.path("receive"), "").json["messages"]], ["b"])
        self.assertEqual(second.bodies(), ["a"])
        self.assertProblem(self.broker.ask("PATCH", self.path(), '{"push":{"url":"x"}}'), 400, "bad_setting")

    def test_a_filter_holds_for_what_is_pushed(self):
        e = self.endpoint()
        self.make(e.url(), filter={"attributes": {"kind": "wanted"}})
        self.say("a", Message_Kind="other")
        self.say("b" * 100000, Message_Kind="wanted")
        self.say("c", Message_Kind="wanted")
        self.all_acked(2)
        self.assertEqual(sorted(b[0] for b in e.bodies()), ["b", "c"])

    def test_a_delayed_message_is_pushed_when_its_time_has_come(self):
        e = self.endpoint()
        self.make(e.url())
        self.say("later", Deliver_After="1s")
        self.say("now")
        self.all_acked(2)
        self.assertEqual(e.bodies(), ["now", "later"])
        self.assertEqual(e.got[1].headers["Deliver-At"], self.broker.message(self.name, 0).header("Deliver-At"))

    def test_metrics_count_what_came_of_it(self):
        def attempts():
            m = self.broker.metrics()
            return {k: m['sluice_push_attempts_total{outcome="%s"}' % k] for k in ("acked", "refused", "unanswered")}

        before, bytes_before = attempts(), self.broker.metric("sluice_push_bytes_total")
        e = self.endpoint(lambda got: {1: None, 2: 404}.get(len(e.got), 200))
        self.make(e.url(), backoff=["0s"])
        self.say("12345")
        self.all_acked(1)
        after = attempts()
        self.assertEqual({k: after[k] - before[k] for k in after}, {"acked": 1, "refused": 1, "unanswered": 1})
        self.assertEqual(self.broker.metric("sluice_push_bytes_total") - bytes_before, 15)
        until(lambda: self.broker.metric("sluice_push_in_flight") == 0)


class Alone(Pushing, SoloBrokerTest):
    """With settings, or an end, of their own."""

    def test_addresses_that_are_not_public_are_refused_unless_it_is_allowed(self):
        self.start()
        e = self.endpoint()
        for host in ("127.0.0.1", "127.1", "0x7f000001", "2130706433", "10.1.2.3", "169.254.169.254", "[::1]",
                     "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "0.0.0.0", "224.0.0.1"):
            a = self.put(e.url(host=host), topic="t")
            self.assertIn("push_private", self.assertProblem(a, 400, "bad_setting")["detail"])
        self.make("http://localhost:%d/hook?token=secret" % e.port, topic="t")  # a name: seen when it is resolved
        self.say("a", topic="t")
        push = until(lambda: (lambda p: p["last_error"] and p)(self.sub()["push"]))
        self.assertIn("a loopback address", push["last_error"])
        self.assertEqual(e.got, [])
        log = self.broker.log()
        self.assertIn("/hook", log)
        self.assertNotIn("secret", log)

    def test_an_endpoint_that_is_not_there_is_told_of(self):
        self.start(**SETTINGS)
        self.make("http://127.0.0.1:1/")
        self.say("a", "b", "c")
        push = until(lambda: (lambda p: p["last_error"] and p)(self.sub()["push"]))
        self.assertIn("connect", push["last_error"])
        self.assertEqual(self.sub()["delivered"], 1)  # and the others keep their deliveries

    def test_who_does_not_answer_in_time_is_asked_again(self):
        self.start(**SETTINGS, push_timeout="300ms")
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        e = self.endpoint(lambda got: (len(e.got) > 1 or go_on.wait(60)) and 200)
        self.make(e.url(), backoff=["0s"])
        self.say("a")
        self.all_acked(1)
        self.assertEqual(e.bodies(), ["a", "a"])

    def test_a_restart_goes_on_where_it_was(self):
        self.start(**SETTINGS)
        up = threading.Event()
        e = self.endpoint(lambda got: 200 if up.is_set() else 503)
        self.make(e.url(), backoff=["0s"])
        self.say("a", "b")
        e.take(1)
        self.broker.kill()
        up.set()
        self.broker.start()
        self.all_acked(2)
        self.assertEqual({"a", "b"}, set(e.bodies()))
        self.broker.restart()
        self.say("c")
        self.all_acked(3)

    def test_a_stop_cuts_what_is_on_its_way_and_gives_it_back(self):
        self.start(**SETTINGS, drain_timeout="300ms")
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        e = self.endpoint(lambda got: (len(e.got) > 1 or go_on.wait(60)) and 200)
        self.make(e.url(), max_deliveries=1)
        self.say("a")
        e.take(1)
        self.broker.restart()
        self.all_acked(1)
        self.assertEqual([g.headers["Message-Deliveries"] for g in e.got], ["1", "1"])

    def test_a_stop_lets_what_is_answered_soon_end(self):
        self.start(**SETTINGS)
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        e = self.endpoint(lambda got: go_on.wait(60) and 200)
        self.make(e.url())
        self.say("a")
        e.take(1)
        self.broker.terminate()
        until(lambda: "draining" in self.broker.log())
        go_on.set()
        self.broker.wait_exit()
        self.broker.start()
        self.assertEqual(self.sub()["acked"], 1)
        self.assertEqual(len(e.got), 1)

    def test_certificates_are_checked_and_may_be_of_ones_own_authority(self):
        self.start(**SETTINGS)
        files = certificate(self.broker.own)
        e = self.endpoint(tls=files)
        self.make(e.url(host="localhost"), backoff=["0s"])
        self.say("a")
        push = until(lambda: (lambda p: p["last_error"] and p)(self.sub()["push"]))
        self.assertIn("certificate", push["last_error"])
        self.assertEqual(e.got, [])
        self.broker.restart(push_ca_file=files[0])
        self.all_acked(1)
        self.make(e.url(host="127.0.0.1"), sub="other-host", topic=self.name, start="earliest")
        push = until(lambda: (lambda p: p["last_error"] and p)(self.sub("other-host")["push"]))
        self.assertEqual(len(e.got), 1)

    def test_there_are_no_more_than_max_push_subscriptions(self):
        self.start(**SETTINGS, max_push_subscriptions=2)
        e = self.endpoint()
        self.make(e.url(), sub="one")
        self.make(e.url(), sub="two")
        p = self.assertProblem(self.put(e.url(), sub="three"), 507, "too_many_push_subscriptions", retryable=True)
        self.assertIn("max_push_subscriptions", p["detail"])
        self.make(None, sub="three")
        self.assertEqual(self.put(e.url(), sub="two").status, 200)
        self.assertEqual(self.broker.ask("DELETE", self.path(sub="one")).status, 204)
        until(lambda: self.put(e.url(), sub="four").status == 201)
        self.say("a", topic="four")
        self.all_acked(1, "four")

    def test_where_memory_is_scarce_it_has_to_be_asked_for(self):
        self.start(push_private=True, memory_limit="36MiB")
        p = self.assertProblem(self.put("http://127.0.0.1:1/"), 501, "push_unavailable", retryable=False)
        self.assertIn("push_connections", p["detail"])
        self.make(None)
        self.broker.restart(push_private=True, memory_limit="36MiB", push_connections=2, max_push_subscriptions=100)
        e = self.endpoint()
        self.make(e.url(), sub="pushed")
        self.say("a", topic="pushed")
        self.all_acked(1, "pushed")

    def test_a_broker_that_pushes_nothing_has_no_thread_and_no_library_for_it(self):
        self.start(**SETTINGS)

        def maps():
            with open("/proc/%d/maps" % self.broker.process.pid) as f:
                return "libcurl" in f.read()

        self.make(None, sub="pulled")
        threads = self.broker.threads()
        self.assertFalse(maps())
        self.make("http://127.0.0.1:1/", sub="pushed")
        self.assertTrue(maps())
        self.assertEqual(self.broker.threads(), threads + 1)

    def test_endpoints_that_never_answer_hold_no_more_than_their_share(self):
        """200 of them, while messages keep coming: the ledger stays within bounds, others are served."""
        self.start(**SETTINGS, push_connections=8, push_timeout="10m", drain_timeout="100ms")
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        silent, fine = self.endpoint(lambda got: go_on.wait(600) and 200), self.endpoint()
        self.make(fine.url(), sub="fine", topic="t")
        self.say("it answers", topic="t")
        self.all_acked(1, "fine")
        for n in range(200):
            self.make(silent.url(), sub="silent-%d" % n, topic="t")
        body = "x" * 100000
        for n in range(40):
            self.say("%d" % n + body, topic="t")
            self.assertLessEqual(self.broker.metric("sluice_push_in_flight"), 8)
        self.all_acked(41, "fine")
        m = self.broker.metrics()
        self.assertLessEqual(m["sluice_read_buffer_bytes"], m["sluice_read_buffer_limit_bytes"])
        until(lambda: silent.now == 4)  # they have proven nothing: half of the connections at most
        self.assertEqual(silent.at_once, 4)


class ManyTimes(Pushing, SoloBrokerTest):
    def test_nothing_is_lost_with_a_moody_endpoint_and_a_broker_that_is_killed(self):
        self.start(**SETTINGS)
        moods = [200, 200, 500, 200, None, 200, 429]
        e = self.endpoint(lambda got: moods[len(e.got) % len(moods)])
        self.make(e.url(), backoff=["0s", "20ms"])
        for n in range(100):
            self.say("m%d" % n)
            if n in (30, 60):
                self.broker.kill()
                self.broker.start()
        until(lambda: self.sub()["lag"] == 0)
        self.assertEqual(set(e.bodies()), {"m%d" % n for n in range(100)})
