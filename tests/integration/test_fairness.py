"""Who is let in when room comes: a crowd does not push others back."""
import socket

from sluicetest import Client, SoloBrokerTest, until

BODY = 100000  # five fit into the buffer beside each other, a sixth does not


class ClientFrom(Client):
    def __init__(self, port, address):
        self.host = "127.0.0.1:%d" % port
        self.sock = socket.create_connection(("127.0.0.1", port), 60, source_address=(address, 0))
        self.kept = b""


class Line(SoloBrokerTest):
    """Waiters ask for 100-continue: it comes when they are let in, and before nobody sends."""

    def full(self):
        b = self.start(publish_buffer="512KiB", max_message_bytes="256KiB", inline_max="256KiB",
                       max_batch_bytes="256KiB", min_body_rate="0")
        self.holders = [self.stand(b, "127.0.0.2", "holder") for _ in range(5)]
        until(lambda: b.metric("sluice_publish_buffer_bytes") >= 5 * BODY, what="the buffer is held")
        return b

    def stand(self, b, address, topic):
        c = ClientFrom(b.port, address)
        self.addCleanup(c.close)
        c.send(c.head("POST", "/v1/topics/%s/messages" % topic,
                      {"Content-Length": str(BODY), "Expect": "100-continue"}))
        return c

    def wait_in_line(self, b, people):
        """(address, topic) in the order in which they come; returns their connections."""
        line = []
        for address, topic in people:
            line.append(self.stand(b, address, topic))
            until(lambda: b.metric("sluice_publish_waiting") == len(line), what="%d wait" % len(line))
        return line

    def let_in(self, b, line, count):
        """All holders are through, so that the line moves; who of it was let in?"""
        for c in self.holders:
            c.send(b"h" * BODY)
            self.assertEqual(c.answer().status, 201)
        until(lambda: b.metric("sluice_publish_waiting") == len(line) - count, what="%d are let in" % count)
        return [i for i, c in enumerate(line) if not c.is_silent(0.2)]

    def finish(self, b, line):
        for c in line:
            c.close()
        self.assertIdle(b)

    def test_a_caller_does_not_stand_behind_the_crowd_of_another(self):
        b = self.full()
        line = self.wait_in_line(b, [("127.0.0.2", "flood")] * 8 + [("127.0.0.3", "small")])
        self.assertEqual(self.let_in(b, line, 5), [0, 1, 2, 3, 8])
        self.finish(b, line)

    def test_a_topic_does_not_stand_behind_the_crowd_of_another(self):
        b = self.full()
        line = self.wait_in_line(b, [("127.0.0.2", "flood")] * 8 + [("127.0.0.2", "small")])
        self.assertEqual(self.let_in(b, line, 5), [0, 1, 2, 3, 8])
        self.finish(b, line)

    def test_many_topics_do_not_give_a_caller_more(self):
        b = self.full()
        line = self.wait_in_line(b, [("127.0.0.2", "spray-%d" % i) for i in range(8)] + [("127.0.0.3", "a")] * 3)
        let_in = self.let_in(b, line, 5)
        self.assertGreaterEqual(sum(i >= 8 for i in let_in), 2)
        self.finish(b, line)

    def test_a_topic_has_as_many_shares_as_its_weight(self):
        b = self.full()
        self.assertEqual(b.ask("PUT", "/v1/topics/heavy", '{"weight":10}').json["weight"], 10)
        line = self.wait_in_line(b, [("127.0.0.2", "heavy")] * 6 + [("127.0.0.2", "light")] * 6)
        self.assertEqual(self.let_in(b, line, 5), [0, 1, 2, 3, 6])
        self.finish(b, line)

    def test_a_weight_is_from_1_to_100(self):
        b = self.start()
        for wrong in ("0", "101", "-1", '"2"', "1.5"):
            self.assertProblem(b.ask("PUT", "/v1/topics/t", '{"weight":%s}' % wrong), 400, "bad_setting", False)
        self.assertEqual(b.ask("PUT", "/v1/topics/t", '{"weight":1}').json["weight"], 1)
        self.assertEqual(b.ask("PATCH", "/v1/topics/t", '{"weight":100}').json["weight"], 100)
        self.assertEqual(b.ask("PATCH", "/v1/topics/t", '{"weight":null}').json["weight"], 1)

    def test_one_flow_is_first_come_first_served(self):
        b = self.full()
        line = self.wait_in_line(b, [("127.0.0.2", "flood")] * 8)
        self.assertEqual(self.let_in(b, line, 5), [0, 1, 2, 3, 4])
        self.finish(b, line)
