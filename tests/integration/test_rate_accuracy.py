"""Ten seconds of more than twice what the limit allows: what is stored is what the limit says."""
import threading
import time

from sluicetest import SoloBrokerTest, log

SECONDS = 10
SLOT_MS = 100


def ms_of(stamp):
    """2026-01-31T12:00:00.000Z, within a day."""
    h, m, s = stamp[11:-1].split(":")
    return int(h) * 3600000 + int(m) * 60000 + round(float(s) * 1000)


class RateAccuracy(SoloBrokerTest):
    def offer(self, topic, body, offered):
        """As fast as it goes, on one connection; when each answer came."""
        with self.broker.client() as c:
            while not self.over.is_set():
                a = c.ask("POST", "/v1/topics/%s/messages" % topic, body)
                assert a.status in (201, 429), a
                offered.append(time.time())

    def stored_ms(self, topic):
        """When the broker stored each message, by its own clock."""
        out, at = [], 0
        while True:
            page = self.broker.read(topic, from_=at, limit=1000).json
            if not page["messages"]:
                return out
            out += [ms_of(m["time"]) for m in page["messages"]]
            at = page["next"]

    def slots_short_of(self, offered, per_slot, begin):
        """How many tenths of a second saw less than twice the limit offered."""
        seen = [0] * (SECONDS * 1000 // SLOT_MS)
        for t in offered:
            slot = int((t - begin) * 1000 / SLOT_MS)
            if 0 <= slot < len(seen):
                seen[slot] += 1
        return sum(n < 2 * per_slot for n in seen)

    def test_messages_and_bytes_are_within_five_percent_over_ten_seconds(self):
        self.start(topic_rate_messages=100, topic_rate_bytes="200KiB", durability="relaxed")
        ways = {"messages": ("x" * 10, 100), "bytes": ("x" * 4096, 50)}
        self.over = threading.Event()
        offered = {topic: [] for topic in ways}
        threads = [threading.Thread(target=self.offer, args=(t, ways[t][0], offered[t]))
                   for t in ways for _ in range(2)]
        for t in threads:
            t.start()
        time.sleep(SECONDS + 1)
        self.over.set()
        for t in threads:
            t.join()
        for topic, (_, per_s) in ways.items():
            with self.subTest(topic=topic):
                self.check(topic, per_s, offered[topic])

    def check(self, topic, per_s, offered):
        times = self.stored_ms(topic)
        stored = sum(0 <= (t - times[0]) % 86400000 < SECONDS * 1000 for t in times)
        short = self.slots_short_of(offered, per_s * SLOT_MS / 1000, offered[0])
        log("%s: %d offered, %d stored, the limit is %d; %d slots short of offers"
            % (topic, len(offered), stored, per_s * SECONDS, short))
        self.assertLessEqual(stored, per_s * SECONDS * 1.05)
        self.assertGreaterEqual(stored, per_s * (SECONDS - short * SLOT_MS / 1000) * 0.95)
        self.assertLess(short, SECONDS * 1000 / SLOT_MS / 2, "too few offers to say anything")
