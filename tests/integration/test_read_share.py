"""What is kept of the read buffer for hours leaves room for whoever reads."""
import unittest

import jwt
from hub import HUB
from sluicetest import SoloBrokerTest, until
from subscriptions import SETTINGS, SubscriptionsTest

INLINE = 64 << 10
LEAST = 6 * INLINE + (288 << 10)  # what read_buffer must be, at this inline_max


class ReadShare(SubscriptionsTest, SoloBrokerTest):
    def comes(self, right, payload):
        """Subscribes; whether there was room for it. Stays."""
        c = self.broker.client()
        self.addCleanup(c.close)
        c.send(c.head("GET", HUB + "?topic=a", jwt.bearer(subscribe=[right], payload=payload)))
        status, _ = c._head()
        self.assertIn(status, (200, 503))
        return status == 200

    def fill(self, right, payload=None):
        """As long as there is room; how many came."""
        for i in range(1000):
            if not self.comes(right % i, payload):
                return i
        self.fail("it is never full")

    def test_the_largest_page_is_read_while_subscribers_hold_all_that_they_may(self):
        self.start(**dict(SETTINGS, read_buffer=LEAST, inline_max=INLINE, loops=1, connection_memory="64KiB",
                          read_buffer_wait_max="1s"))
        self.broker.offset("big", b"\x01" * INLINE, {"Content-Type": "text/plain"})
        asks = self.fill("%d-" + "x" * 3000)  # each wants something else, and says little of itself
        says = self.fill("0-" + "x" * 3000 + "%.0s", {"x": "y" * 2000})  # and now the other way round
        self.assertGreater(min(asks, says), 5)
        a = self.broker.read("big")
        self.assertEqual((a.status, a.json.get("messages", [{}])[0].get("data")), (200, "\x01" * INLINE), a.text[:300])
        self.assertGreater(len(a.body), 6 * INLINE)
        self.doCleanups()


if __name__ == "__main__":
    unittest.main()
