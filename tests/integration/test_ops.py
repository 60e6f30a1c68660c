"""What an operator sees."""
import re

from sluicetest import BrokerTest, until

NAMES = """sluice_publish_buffer_bytes sluice_publish_buffer_limit_bytes sluice_publish_buffer_high_water_bytes
sluice_publish_waiting sluice_read_buffer_waiting sluice_messages_accepted_total sluice_messages_expired_total sluice_messages_removed_total
sluice_messages_live sluice_readers_parked sluice_connections sluice_requests_in_flight
sluice_process_rss_anon_bytes sluice_process_rss_file_bytes sluice_process_open_fds sluice_store_used_bytes""".split()


class Ops(BrokerTest):
    settings = {"publish_buffer": "2MiB"}

    def test_healthz_and_readyz(self):
        self.assertEqual(self.broker.ask("GET", "/healthz").json["status"], "ok")
        self.assertEqual(self.broker.ask("GET", "/readyz").json["status"], "ready")

    def test_the_api_describes_itself(self):
        a = self.broker.ask("GET", "/openapi.json")
        self.assertEqual((a.status, a.header("Content-Type")), (200, "application/json"))
        self.assertEqual(a.json["openapi"], "3.1.0")
        self.assertIn("/openapi.json", a.json["paths"])
        again = self.broker.ask("GET", "/openapi.json", headers={"If-None-Match": a.header("ETag")})
        self.assertEqual((again.status, again.body), (304, b""))
        head = self.broker.ask("HEAD", "/openapi.json")
        self.assertEqual((head.status, head.header("Content-Length")), (200, str(len(a.body))))

    def test_metrics_are_prometheus_text(self):
        a = self.broker.ask("GET", "/metrics")
        self.assertTrue(a.header("Content-Type").startswith("text/plain"))
        self.assertTrue(a.text.endswith("\n"))
        typed, sampled = {}, set()
        for line in a.text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertNotIn(name, typed)
                typed[name] = kind
            elif not line.startswith("#"):
                self.assertRegex(line, r'^[a-z_:][a-z0-9_:]*(\{[^}]*\})? -?[0-9.e+naif]+$')
                self.assertNotIn(line.rsplit(" ", 1)[0], sampled)
                sampled.add(line.rsplit(" ", 1)[0])
        for s in sampled:
            bare = re.sub(r"_(bucket|sum|count)$", "", s.split("{")[0])
            self.assertTrue(bare in typed or s.split("{")[0] in typed, s)

    def test_the_promised_metrics_are_there(self):
        m = self.broker.metrics()
        for name in NAMES:
            self.assertIn(name, m)
            self.assertGreaterEqual(m[name], 0, name)
        self.assertEqual(m["sluice_publish_buffer_limit_bytes"], 2 << 20)
        self.assertEqual(m["sluice_publish_buffer_bytes"], 0)
        self.assertGreater(m["sluice_process_rss_anon_bytes"], 100000)

    def test_the_process_figures_are_true(self):
        self.assertLess(abs(self.broker.metric("sluice_process_rss_anon_bytes") - self.broker.rss_anon()), 4 << 20)
        until(lambda: abs(self.broker.metric("sluice_process_open_fds") - self.broker.open_fds()) <= 2,
              what="the number of descriptors")

    def test_metrics_do_not_grow_with_topics(self):
        before = len(self.broker.metrics())
        for i in range(50):
            self.broker.offset("many-%d" % i, "x")
        self.assertEqual(len(self.broker.metrics()), before)

    def test_limits_name_every_line_of_the_budget(self):
        a = self.broker.ask("GET", "/v1/limits")
        self.assertEqual(a.status, 200)
        text = a.text
        self.assertGreater(a.json["memory_limit_bytes"], 0)
        for word in ("publish_buffer", "max_message_bytes", "publish_wait_max", "max_connections"):
            self.assertIn(word, text)
        self.assertIn(str(2 << 20), text)

    def test_every_line_of_the_budget_says_what_it_uses_and_used(self):
        self.broker.offset("budget", "x" * 1000)
        answer = self.broker.ask("GET", "/v1/limits").json
        inside, beside = answer["budget"], answer["beside"]
        self.assertEqual([row["line"] for row in inside],
                         ["publish_buffer", "read_buffer", "json", "connections", "writer", "indexes", "fixed"])
        self.assertEqual([row["line"] for row in beside], ["kernel", "sockets"])
        for row in inside + beside:
            self.assertLessEqual(row["active_bytes"], row["high_water_bytes"], row)
        high = {row["line"]: row["high_water_bytes"] for row in inside + beside}
        for line in ("publish_buffer", "connections", "writer", "indexes", "fixed", "kernel"):
            self.assertGreater(high[line], 0, line)
        self.assertLessEqual(sum(row["limit_bytes"] for row in inside), answer["memory_limit_bytes"])
        self.assertGreaterEqual(answer["rss_anon_high_water_bytes"], answer["rss_anon_bytes"])

    def test_the_line_of_connections_counts_each_of_them(self):
        def active():
            rows = self.broker.ask("GET", "/v1/limits").json["budget"]
            return {row["line"]: row["active_bytes"] for row in rows}["connections"]
        one = active()
        clients = [self.broker.client() for _ in range(20)]
        for c in clients:
            self.assertEqual(c.ask("GET", "/healthz").status, 200)
        self.assertGreaterEqual(active(), 20 * 4096)
        for c in clients:
            c.close()
        until(lambda: active() <= one, what="the line's return to what it was")

    def test_connections_are_counted(self):
        clients = [self.broker.client() for _ in range(10)]
        for c in clients:
            self.assertEqual(c.ask("GET", "/healthz").status, 200)
        self.assertGreaterEqual(self.broker.metric("sluice_connections"), 10)
        for c in clients:
            c.close()

    def test_the_number_of_threads_does_not_depend_on_clients(self):
        before = self.broker.threads()
        clients = [self.broker.client() for _ in range(100)]
        for c in clients:
            c.send(c.head("GET", "/v1/topics/nowhere/messages?wait=1"))
        self.assertEqual(self.broker.threads(), before)
        for c in clients:
            c.close()
