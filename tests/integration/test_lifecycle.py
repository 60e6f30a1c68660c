"""Start, stop, start again: what is kept, who is answered, what is refused."""
import os
import subprocess
import tempfile
import time

from sluicetest import BIN, SoloBrokerTest, clean_env, free_port, hammer, until


class Restart(SoloBrokerTest):
    def test_everything_is_there_after_a_restart(self):
        b = self.start()
        b.ask("PUT", "/v1/topics/orders", '{"ttl":"2h","max_bytes":"1MiB","overflow":"drop_oldest"}')
        b.offset("orders", "one", {"Message-Key": "k", "Message-A": "b", "Content-Type": "text/x"})
        b.batch("orders", '{"data":{"n":1}}\n{"data_base64":"AAEC"}\n')
        b.offset("large", b"L" * 500000)
        b.offset("gone", "x", {"TTL": "1h"})
        b.ask("DELETE", "/v1/topics/gone")
        pages = {t: b.read(t).body for t in ("orders", "large")}
        state, books = b.topic("orders"), b.metrics()
        b.restart()
        for t, page in pages.items():
            self.assertEqual(b.read(t).body, page)
        self.assertEqual(b.topic("orders"), state)
        self.assertEqual(b.message("large", 0).body, b"L" * 500000)
        self.assertEqual(b.offset("orders", "next"), 3)
        self.assertEqual(b.offset("gone", "again"), 1)
        now = b.metrics()
        self.assertEqual(now["sluice_messages_accepted_total"], books["sluice_messages_accepted_total"] + 2)
        self.assertConserved(now)

    def test_offsets_go_on_after_purge_and_restart(self):
        b = self.start()
        for _ in range(5):
            b.offset("t", "x")
        b.ask("POST", "/v1/topics/t:purge", '{"all":true}')
        b.restart()
        self.assertEqual(b.offset("t", "x"), 5)

    def test_what_expired_while_it_was_down_is_not_delivered(self):
        b = self.start()
        b.offset("t", "x", {"TTL": "500ms"})
        b.offset("t", "stays")
        b.stop()
        time.sleep(0.6)
        b.start()
        self.assertEqual(b.data("t"), ["stays"])
        until(lambda: b.topic("t")["messages"] == 1, what="the sweep")
        self.assertConserved()

    def test_a_kill_loses_nothing_that_was_answered(self):
        b = self.start()
        with tempfile.TemporaryDirectory() as d:
            acks = os.path.join(d, "acks")
            hammer("publish", b.address, connections=16, seconds=1, size=300, topics=3, acks=acks)
            b.kill()
            b.start()
            figures = hammer("verify", b.address, acks)
            self.assertGreater(figures["acknowledged"], 0)
            self.assertEqual(figures["extra"], 0)
            raw = hammer("verify", b.address, acks, raw=True, topic="load-1")
            self.assertGreater(raw["acknowledged"], 0)
        self.assertEqual(b.metric("sluice_publish_buffer_bytes"), 0)

    def test_two_brokers_on_one_store_is_refused(self):
        b = self.start()
        done = subprocess.run([BIN, "--listen", "127.0.0.1:%d" % free_port(), "--data-dir", b.data_dir],
                              stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(b.offset("t", "x"), 0)


class Drain(SoloBrokerTest):
    def test_parked_readers_are_answered_and_it_exits_with_0(self):
        b = self.start()
        b.ask("PUT", "/v1/topics/t")
        clients = [b.client() for _ in range(10)]
        for c in clients:
            c.send(c.head("GET", "/v1/topics/t/messages?wait=60"))
        until(lambda: b.metric("sluice_readers_parked") == 10)
        b.terminate()
        for c in clients:
            a = c.answer()
            self.assertEqual((a.status, a.json["messages"]), (200, []))
            c.close()
        b.wait_exit(30)

    def test_an_idle_connection_does_not_hold_it_up(self):
        b = self.start()
        with b.client() as used, b.client():
            used.ask("GET", "/healthz")
            b.terminate()
            b.wait_exit(30)

    def test_a_publish_under_way_is_committed_and_answered(self):
        b = self.start()
        c = b.client()
        c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "10"}) + b"01234")
        until(lambda: b.metric("sluice_publish_buffer_bytes") > 0)
        b.terminate()
        time.sleep(0.3)
        c.send(b"56789")
        a = c.answer()
        self.assertIn(a.status, (201, 503))
        c.close()
        b.wait_exit(30)
        b.start()
        if a.status == 201:
            self.assertEqual(b.data("t"), ["0123456789"])
        else:
            self.assertEqual(b.ask("GET", "/v1/topics/t").status, 404)

    def test_an_upload_that_never_ends_does_not_hold_it_up_for_ever(self):
        b = self.start(drain_timeout="1s")
        with b.client() as c:
            c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": "1000000"}) + b"x")
            until(lambda: b.metric("sluice_publish_buffer_bytes") > 0)
            b.terminate()
            b.wait_exit(30)

    def test_new_publishes_are_refused_while_it_drains(self):
        """Held in the drain by an upload; an open connection then publishes."""
        b = self.start(drain_timeout="5s", min_body_rate="0")
        holder, other = b.client(), b.client()
        other.ask("GET", "/healthz")
        holder.send(holder.head("POST", "/v1/topics/t/messages", {"Content-Length": "3"}) + b"1")
        until(lambda: b.metric("sluice_publish_buffer_bytes") > 0)
        b.terminate()
        time.sleep(0.3)
        try:
            a = other.ask("POST", "/v1/topics/t/messages", b"x")
            self.assertProblem(a, 503, "draining", True)
        except ConnectionError:
            pass  # closing it is as good an answer
        holder.send(b"23")
        self.assertIn(holder.answer().status, (201, 503))
        holder.close()
        other.close()
        b.wait_exit(30)

    def test_under_load_every_answer_still_holds(self):
        b = self.start()
        with tempfile.TemporaryDirectory() as d:
            acks = os.path.join(d, "acks")
            from sluicetest import Hammer
            with Hammer("publish", b.address, connections=32, seconds=20, acks=acks, until_lost=True, grace=5) as h:
                until(lambda: os.path.exists(acks) and os.path.getsize(acks) > 0)
                time.sleep(0.5)
                b.terminate()
                b.wait_exit(30)
                h.process.send_signal(15)
                h.finish()
            b.start()
            self.assertEqual(hammer("verify", b.address, acks)["extra"], 0)


class Starting(SoloBrokerTest):
    def refused(self, *flags, env=None):
        with tempfile.TemporaryDirectory() as d:
            done = subprocess.run([BIN, "--listen", "127.0.0.1:%d" % free_port(), "--data-dir", d, *flags],
                                  stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, timeout=30,
                                  env=dict(clean_env(), **(env or {})))
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_a_wrong_setting_stops_the_start_and_is_named(self):
        self.assertIn("publish-bufer", self.refused("--publish-bufer", "1MiB").replace("_", "-"))
        self.assertIn("publish-buffer", self.refused("--publish-buffer", "lots").replace("_", "-"))
        self.assertIn("LOOPZ", self.refused(env={"SLUICE_LOOPZ": "1"}).upper())

    def test_settings_that_do_not_add_up_stop_the_start_with_the_table(self):
        said = self.refused("--memory-limit", "64MiB", "--publish-buffer", "1GiB")
        self.assertIn("publish_buffer", said)

    def test_a_taken_port_stops_the_start(self):
        b = self.start()
        with tempfile.TemporaryDirectory() as d:
            done = subprocess.run([BIN, "--listen", b.address, "--data-dir", d], stderr=subprocess.PIPE, timeout=30)
        self.assertNotEqual(done.returncode, 0)

    def test_the_budget_is_printed_at_the_start(self):
        b = self.start(publish_buffer="1MiB")
        self.assertIn("publish_buffer", b.log(100000))

    def test_the_healthcheck_command_agrees(self):
        b = self.start()
        ask = [BIN, "healthcheck", "--listen", b.address]
        self.assertEqual(subprocess.run(ask, timeout=30, env=clean_env()).returncode, 0)
        b.kill()
        self.assertNotEqual(subprocess.run(ask, timeout=30, env=clean_env(), stderr=subprocess.DEVNULL).returncode, 0)
        b.start()

    def test_relaxed_durability_is_said(self):
        b = self.start(durability="relaxed")
        self.assertEqual(b.publish("t", "x").header("Durability"), "relaxed")
        b.restart()
        self.assertEqual(b.data("t"), ["x"])
