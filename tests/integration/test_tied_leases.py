"""Leases that are tied to the connection they came by: who vanishes gives back what he has, at once."""
import json
import os
import signal
import socket
import subprocess
import sys
import threading

from holder import Holder, wait_for_all
from sluicetest import BrokerTest, SoloBrokerTest, until
from test_subscriptions import Worker

HELD = "sluice_subscription_held_connections"
BUFFER = "sluice_read_buffer_bytes"
VANISHED = "sluice_subscription_vanished_leases_total"


class Tied(Worker):
    def hold(self, headers=None, version="1.1", **query):
        """One that waits for messages; taken() reads them."""
        q = "&".join("%s=%s" % kv for kv in query.items())
        h = Holder(self.broker, self.path("receive") + (q and "?" + q), headers, version)
        self.addCleanup(h.close)
        return h

    def holds(self, **query):
        h = self.hold(**query)
        h.taken()
        return h

    def until_held(self, count):
        until(lambda: self.broker.metric(HELD) == count, what="%d answers are held" % count)

    def assertAllIsGivenBack(self):
        self.until_held(0)
        self.assertIdle()
        until(lambda: self.broker.metric(BUFFER) == 0, what="the read buffer is empty")


class SharedBroker(Tied, BrokerTest):
    settings = {"loops": 2}

    def tearDown(self):
        self.doCleanups()
        self.assertAllIsGivenBack()
        super().tearDown()


class Settled(SharedBroker):
    def test_the_answer_ends_with_the_last_ack_and_its_connection_goes_on(self):
        self.make()
        self.say("a", "b")
        h = self.holds()
        self.assertEqual([m["data"] for m in h.messages], ["a", "b"])
        self.assertEqual((h.header("Preference-Applied"), h.header("Transfer-Encoding")),
                         ("lease=connection", "chunked"))
        self.ack(h.messages[0])
        self.assertEqual(self.broker.metric(HELD), 1)
        self.ack(h.messages[1])
        self.assertEqual(h.end(), b"")
        h.ended = False
        self.assertEqual(h.ask("POST", self.path("receive"), "").json, {"messages": []})
        self.assertEqual(self.sub()["acked"], 2)

    def test_any_way_to_settle_ends_it(self):
        self.make(max_deliveries=9)
        for verb in ("ack", "nack", "reject"):
            with self.subTest(verb):
                self.say(verb)
                h = self.holds()
                self.assertEqual(self.settle(verb, *h.messages).status, 200)
                self.assertEqual(h.end(), b"")
                self.ack(*self.receive()) if verb == "nack" else self.assertEqual(self.receive(), [])

    def test_hundreds_of_leases_are_settled_in_any_order(self):
        self.make(max_in_flight=5000)
        self.broker.batch(self.name, "".join('{"data":"%d"}\n' % i for i in range(1000)))
        h = self.holds(limit=1000, max_bytes="1MiB")
        leases = h.messages[::-1]
        self.assertGreater(len(leases), 500)  # an answer is at most 256 KiB
        for i in range(0, len(leases), 100):
            self.assertEqual(self.broker.metric(HELD), 1)
            self.ack(*leases[i:i + 100])
        h.end()

    def test_a_request_behind_it_is_answered_when_it_is_over(self):
        self.make()
        self.say("a")
        h = self.holds()
        h.send(h.head("GET", "/healthz"))
        self.ack(*h.messages)
        h.end()
        self.assertEqual(h.answer().status, 200)

    def test_who_speaks_http_1_0_sees_the_end_of_the_connection(self):
        self.make()
        self.say("a")
        h = self.hold(version="1.0")
        h.send(b"")
        until(lambda: self.broker.metric(HELD) == 1, what="it is held")
        while b"\r\n\r\n" not in h.kept or not h.kept.endswith(b"}\n"):
            h._more()
        self.ack(*json.loads(h.kept.split(b"\r\n\r\n", 1)[1])["messages"])
        self.assertTrue(h.rest().endswith(b"}\n"))

    def test_without_messages_the_answer_is_an_ordinary_one(self):
        self.make()
        a = self.broker.ask("POST", self.path("receive") + "?wait=0.2", "", {"Prefer": "lease=connection"})
        self.assertEqual((a.status, a.json, a.header("Preference-Applied")), (200, {"messages": []}, None))

    def test_other_preferences_hold_nothing(self):
        self.make()
        self.say("a")
        for prefer in ("lease=other", "lease", "wait=5, xlease=connection", 'lease="connection', "leases=connection"):
            a = self.broker.ask("POST", self.path("receive"), "", {"Prefer": prefer})
            self.assertEqual((a.status, a.header("Preference-Applied")), (200, None), prefer)
            self.settle("nack", *a.json["messages"], delay="0s")

    def test_it_may_stand_beside_others(self):
        self.make()
        self.say("a")
        h = self.hold({"Prefer": 'wait=5, LEASE = "connection" ; x=y, respond-async'})
        self.ack(*h.taken())
        h.end()

    def test_extending_is_as_ever_and_ends_it_when_the_last_is_over(self):
        self.make()
        self.say("a", "b")
        h = self.holds(lease="400ms")
        a, b = h.messages
        self.assertEqual(self.settle("extend", a, lease="1h").status, 200)
        self.assertEqual([(m["data"], m["deliveries"]) for m in self.again(lease="1h")], [("b", 2)])
        self.assertEqual(self.broker.metric(HELD), 1)
        self.assertProblem(self.settle("ack", b), 409, "lease_lost")
        self.assertEqual(self.broker.metric(HELD), 1)
        self.assertEqual(self.settle("extend", a, lease="300ms").status, 200)  # sooner than it was told
        self.assertEqual(h.end(), b"")
        self.assertEqual([m["data"] for m in self.again()], ["a"])

    def test_a_lease_that_runs_out_ends_the_answer_and_is_fenced(self):
        self.make()
        self.say("a")
        h = self.holds(lease="200ms")
        second = self.again(lease="1h")[0]
        self.assertEqual(h.end(), b"")
        self.assertProblem(self.settle("ack", *h.messages), 409, "lease_lost")
        self.ack(second)

    def test_seeking_and_deleting_end_it(self):
        self.make(lease="12h")
        self.say("a")
        h = self.holds()
        self.assertEqual(self.broker.ask("POST", self.path("seek"), '{"offset":0}').status, 200)
        self.assertEqual(h.end(), b"")
        h = self.holds()
        self.assertEqual([m["deliveries"] for m in h.messages], [1])
        self.assertEqual(self.broker.ask("DELETE", self.path()).status, 204)
        self.assertEqual(h.end(), b"")

    def test_a_change_of_settings_leaves_it_as_it_is(self):
        self.make()
        self.say("a")
        h = self.holds()
        self.assertEqual(self.broker.ask("PATCH", self.path(), '{"max_in_flight":7}').status, 200)
        self.assertEqual(self.broker.metric(HELD), 1)
        h.close()
        self.assertEqual([m["deliveries"] for m in self.again()], [2])


class Vanished(SharedBroker):
    def test_what_was_not_acked_comes_again_and_no_backoff_delays_it(self):
        self.make(lease="12h", backoff=["1h"])
        self.say("a", "b", "c")
        h = self.holds()
        self.ack(h.messages[1])
        h.close()
        again = []
        until(lambda: again.extend(self.receive()) or len(again) == 2, what="the others")
        self.assertEqual(sorted((m["data"], m["deliveries"]) for m in again), [("a", 2), ("c", 2)])
        self.assertProblem(self.settle("ack", h.messages[0]), 409, "lease_lost")
        self.ack(*again)

    def test_however_its_connection_ends(self):
        self.make(lease="12h")
        self.say("a")
        for number, leave in enumerate((Holder.close, Holder.reset, lambda h: h.sock.shutdown(socket.SHUT_WR),
                                        lambda h: h.sock.shutdown(socket.SHUT_RDWR))):
            h = self.holds(wait=20)
            self.assertEqual([m["deliveries"] for m in h.messages], [number + 1])
            leave(h)
        self.ack(*self.again())

    def test_one_who_waits_gets_what_a_killed_worker_had(self):
        self.make(lease="12h")
        self.say("a")
        url = "http://127.0.0.1:%d%s" % (self.broker.port, self.path("receive"))
        worker = subprocess.Popen(["curl", "-sN", "-X", "POST", "-H", "Prefer: lease=connection", url],
                                  stdout=subprocess.PIPE, start_new_session=True)
        self.addCleanup(worker.stdout.close)
        self.addCleanup(worker.wait)
        self.assertEqual(json.loads(worker.stdout.readline())["messages"][0]["deliveries"], 1)
        other = self.hold(wait=30)
        until(lambda: self.sub()["waiters"] == 1, what="another one waits")
        os.kill(worker.pid, signal.SIGKILL)
        self.assertEqual([(m["data"], m["deliveries"]) for m in other.taken()], [("a", 2)])
        self.ack(*other.messages)
        other.end()

    def test_a_message_that_kills_its_workers_becomes_a_dead_letter(self):
        self.make(lease="12h", max_deliveries=3, dead_letter=self.name + ".dead", backoff=["1h"])
        self.say("deadly")
        for number in (1, 2, 3):
            h = self.holds(wait=20)
            self.assertEqual([m["deliveries"] for m in h.messages], [number])
            h.reset()
        dead = until(lambda: self.broker.read(self.name + ".dead").json.get("messages"), what="a dead letter")
        self.assertEqual((dead[0]["data"], dead[0]["attributes"]["dead-letter-deliveries"]), ("deadly", "3"))
        self.assertEqual((self.receive(), self.sub()["dead"]), ([], 1))

    def test_by_key_the_one_that_was_first_stays_first(self):
        self.make(lease="12h", ordering="key")
        self.say("1", "2", key="k")
        self.say("other", key="j")
        h = self.holds()
        self.assertEqual([m["data"] for m in h.messages], ["1", "other"])
        self.assertEqual(self.receive(), [])
        h.close()
        again = []
        until(lambda: again.extend(self.receive()) or len(again) == 2, what="both again")
        self.assertEqual([m["data"] for m in again], ["1", "other"])
        self.ack(again[0])
        self.assertEqual(self.data(), ["2"])

    def test_a_place_in_flight_is_free_again(self):
        self.make(lease="12h", max_in_flight=1)
        self.say("a", "b")
        h = self.holds()
        other = self.hold(wait=30)
        until(lambda: self.sub()["waiters"] == 1, what="another one waits")
        h.close()
        self.assertEqual([m["data"] for m in other.taken()], ["a"])

    def test_who_leaves_before_there_are_messages_takes_nothing_along(self):
        self.make(lease="12h")
        for _ in range(20):
            h = self.hold(wait=30)
            until(lambda: self.sub()["waiters"] == 1, what="it waits")
            h.close()
            until(lambda: self.sub()["waiters"] == 0, what="it has gone")
        self.say("a")
        self.assertEqual([m["deliveries"] for m in self.receive()], [1])

    def test_who_leaves_before_its_answer_does_not_keep_it(self):
        self.make(lease="12h", max_in_flight=10000)
        self.say(*["x"] * 40)
        for _ in range(40):
            self.hold(limit=1).reset()  # some before the job is done, some behind the answer
        got = []
        until(lambda: got.extend(self.receive(limit=100)) or len(got) == 40, what="all of them")
        self.assertEqual({m["offset"] for m in got}, set(range(40)))
        self.ack(*got)

    def test_it_is_counted(self):
        before = self.broker.metric(VANISHED)
        self.make(lease="12h")
        self.say("a", "b")
        self.holds().close()
        until(lambda: self.broker.metric(VANISHED) == before + 2, what="two leases are counted")

    def test_two_thousand_hold_and_vanish(self):
        self.make(lease="12h", max_in_flight=10000)
        self.broker.batch(self.name, "".join('{"data":"%d"}\n' % i for i in range(2000)))
        holders = [self.hold(limit=1, wait=30) for _ in range(2000)]
        wait_for_all(holders)
        self.until_held(2000)
        self.ack(*[m for h in holders[:1000] for m in h.messages])
        for h in holders[:1000]:
            self.assertEqual(h.end(), b"")
        for h in holders[1000:]:
            h.close()
        rest = []
        until(lambda: rest.extend(self.receive(limit=1000)) or len(rest) == 1000, what="the rest")
        self.assertEqual({m["offset"] for m in rest}, {m["offset"] for h in holders[1000:] for m in h.messages})
        self.ack(*rest)
        self.assertEqual(self.sub()["lag"], 0)


class Bounded(Tied, SoloBrokerTest):
    def test_what_all_hold_is_bounded_and_others_go_on(self):
        self.start(read_buffer="2MiB")
        self.make(lease="12h", max_in_flight=100000)
        self.broker.batch(self.name, "".join('{"data":"%d"}\n' % i for i in range(20000)))
        holders, full = [], None
        while not full:
            h = self.hold(limit=1000, max_bytes="1MiB")
            try:
                holders.append((h, h.taken()))
            except AssertionError as e:
                full = e.args[0]
            self.assertLess(len(holders), 20, "nothing bounds it")
        self.assertIn(b"read_buffer_full", full[2])
        self.assertEqual(full[0], 503)
        self.assertLessEqual(self.broker.metric(BUFFER), 2 << 20)
        got = self.receive(limit=10)
        self.assertEqual(len(got), 10)
        self.assertEqual(self.broker.read(self.name).status, 200)
        for h, _ in holders:
            h.close()
        self.until_held(0)
        until(lambda: self.broker.metric(BUFFER) == 0, what="all is given back")
        h = self.holds(limit=1000, max_bytes="1MiB")
        self.assertGreater(len(h.messages), 500)

    def test_the_least_read_buffer_holds_some_leases(self):
        self.start(inline_max="1KiB", read_buffer="352KiB", memory_limit="24MiB")
        self.make(lease="12h")
        self.broker.batch(self.name, "".join('{"data":"%d"}\n' % i for i in range(1000)))
        h = self.holds(limit=1000)
        self.assertGreater(len(h.messages), 50)
        self.ack(*h.messages)
        h.end()

    def test_a_newline_now_and_then_keeps_it_alive(self):
        self.start(sse_heartbeat="100ms")
        self.make(lease="12h")
        self.say("a")
        h = self.holds()
        while h.text.count(b"\n") < 4:
            h._piece()
        self.ack(*h.messages)
        h.end()
        self.assertEqual(json.loads(h.text)["messages"], h.messages)


class Stopped(Tied, SoloBrokerTest):
    def test_a_shutdown_lets_them_finish(self):
        b = self.start(drain_timeout="60s")
        self.make(lease="12h")
        self.say("a")
        client = b.client()
        client.ask("GET", "/healthz")
        h = self.holds()
        b.terminate()
        until(lambda: "draining" in b.log(), what="it drains")
        body = json.dumps({"leases": [m["lease"] for m in h.messages]})
        self.assertEqual(client.ask("POST", self.path("ack"), body).json, {"settled": 1})
        h.end()
        b.wait_exit()
        b.process = None
        b.start()
        self.assertEqual(self.sub()["lag"], 0)

    def test_who_does_not_finish_in_time_gives_back(self):
        b = self.start(drain_timeout="300ms")
        self.make(lease="12h", backoff=["1h"])
        self.say("a")
        h = self.holds()
        b.terminate()
        self.assertRaises(ConnectionError, h.end)
        b.wait_exit()
        b.process = None
        b.start()
        self.assertEqual([(m["data"], m["deliveries"]) for m in self.receive()], [("a", 2)])


class Crashed(Tied, SoloBrokerTest):
    def test_what_was_tied_comes_again_after_a_crash_and_not_after_its_lease(self):
        b = self.start()
        self.make(lease="12h", backoff=["1h"], max_deliveries=2, dead_letter="dead")
        self.say("a", "b", "c", "d")
        h = self.holds(limit=2)
        self.ack(h.messages[0])
        loose = self.receive(limit=1)[0]
        b.kill()
        b.start()
        self.assertEqual([(m["data"], m["deliveries"]) for m in self.again(limit=1)], [("b", 2)])
        self.assertProblem(self.settle("ack", h.messages[1]), 409, "lease_lost")
        self.ack(loose)
        self.assertEqual(self.sub()["in_flight"], 1)
        b.kill()
        b.start()
        self.assertEqual(self.data(), ["d"])  # an ordinary lease outlives a crash
        self.assertEqual(self.broker.metric(VANISHED), 0)

    def test_it_counts_as_a_delivery(self):
        b = self.start()
        self.make(lease="12h", max_deliveries=1, dead_letter="dead")
        self.say("a")
        self.holds()
        b.kill()
        b.start()
        until(lambda: self.broker.read("dead").json.get("messages"), what="a dead letter")
        self.assertEqual((self.receive(), self.sub()["dead"]), ([], 1))
        self.assertEqual(self.broker.metric(VANISHED), 1)

    def test_hundreds_of_many_subscriptions_one_of_which_is_deleted(self):
        b = self.start()
        for sub in "abcde":
            self.make(sub, lease="12h")
        self.broker.batch(self.name, "".join('{"data":"%d"}\n' % i for i in range(300)))
        for sub in "abcde":
            Holder(self.broker, self.path("receive", sub) + "?limit=1000").taken()
        self.assertEqual(b.ask("DELETE", self.path(sub="c")).status, 204)
        self.assertEqual(b.ask("POST", self.path("seek", "d"), '{"offset":"latest"}').status, 200)
        b.kill()
        b.start()
        for sub, count in (("a", 300), ("b", 300), ("d", 0), ("e", 300)):
            until(lambda: self.sub(sub)["ready"] == count, what="all are ready again")
            self.assertEqual(self.sub(sub)["in_flight"], 0)
            self.assertEqual(len(self.receive(sub, limit=1000)), count)


class AllAtOnce(Tied, SoloBrokerTest):
    """Vanishing, acks, leases that end, seeks and a shutdown, as they come."""
    MESSAGES = 300

    def work(self, number, stop, acked):
        query = "?wait=1&limit=3&lease=%s" % ("12h", "60ms")[number % 2]
        while not stop.is_set():
            try:
                h = Holder(self.broker, self.path("receive") + query)
                try:
                    got = h.taken()
                    keep = got[:number % 3 + 1]
                    a = self.settle("ack", *keep) if keep else None
                    if a and a.status == 200:
                        acked.extend(m["offset"] for m in keep)
                    if number % 4 == 0 and got[len(keep):]:
                        self.settle("nack", *got[len(keep):], delay="0s")
                        h.end()
                finally:
                    h.reset() if number % 5 else h.close()
            except (OSError, AssertionError, ValueError):
                pass  # the broker stops, or the answer was an empty one that ended

    def test_nothing_is_lost_and_what_is_acked_never_comes_again(self):
        b = self.start(loops=2, drain_timeout="200ms")
        self.make(lease="12h", max_in_flight=10000)
        acked, stop = [], threading.Event()
        workers = [threading.Thread(target=self.work, args=(n, stop, acked)) for n in range(12)]
        for w in workers:
            w.start()
        for i in range(0, self.MESSAGES, 10):
            self.broker.batch(self.name, "".join('{"data":"%d"}\n' % n for n in range(i, i + 10)))
        until(lambda: len(acked) > self.MESSAGES // 3, what="a third is acked")
        b.terminate()
        stop.set()
        for w in workers:
            w.join()
        b.wait_exit()
        b.process = None
        b.start()
        self.assertEqual(len(acked), len(set(acked)), "acked twice")
        rest, wanted = set(), set(range(self.MESSAGES)) - set(acked)

        def more():
            got = self.receive(limit=1000)
            self.assertFalse({m["offset"] for m in got} & set(acked), "one that was acked came again")
            rest.update(m["offset"] for m in got)
            if got:
                self.ack(*got)
            return rest == wanted or self.sub()["lag"] == 0
        until(more, what="what was not acked")
        self.assertEqual((self.sub()["lag"], self.sub()["acked"]), (0, self.MESSAGES))


if __name__ == "__main__":
    import unittest
    unittest.main(argv=sys.argv)
