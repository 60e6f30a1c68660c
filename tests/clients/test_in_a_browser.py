"""event-source-polyfill where it is mostly used: on a page of another site, in a real browser."""
import os
import unittest
import urllib.parse

import jwt
import packages
from hub import HUB, HubTest
from site_beside import Site
from sluicetest import SoloBrokerTest
from webdriver import Browser, is_installed

POLYFILL = os.path.join(packages.FOLDER, "node_modules", "event-source-polyfill", "src", "eventsource.js")
TOPIC = "https://example.com/books/1"
LISTEN = """
const [url, options] = arguments;
window.seen = [];
window.source = new EventSourcePolyfill(url, options);
source.onmessage = (e) => seen.push([e.lastEventId, e.data]);
return new Promise((resolve) => { source.onopen = () => resolve(source.readyState); });
"""


@unittest.skipUnless(is_installed(), "there is no chromium with its driver")
class PolyfillOnAPage(HubTest, SoloBrokerTest):
    def setUp(self):
        super().setUp()
        self.site = Site(POLYFILL)
        self.addCleanup(self.site.close)
        self.broker = self.start(mercure_publisher_jwt_key=jwt.KEY, mercure_subscriber_jwt_key=jwt.KEY,
                                 mercure_cors_origins=self.site.url)
        browser = Browser()
        self.addCleanup(browser.close)
        self.tab = browser.tab()
        self.tab.go(self.site.url)

    def update(self, data, **fields):
        return [self.published([("topic", TOPIC), ("data", data)] + list(fields.items())), data]

    def has(self, seen):
        self.tab.until(lambda: len(self.tab.run("return seen")) >= len(seen), "%d events" % len(seen))
        self.assertEqual(self.tab.run("return seen"), seen)

    def test_with_a_token_in_a_header_it_goes_on_after_the_broker_was_away(self):
        url = self.broker.url + HUB + "?" + urllib.parse.urlencode({"topic": TOPIC})
        token = jwt.token(subscribe=[TOPIC])
        self.assertEqual(self.tab.run(LISTEN, url, {"headers": {"Authorization": "Bearer " + token}}), 1)
        seen = [self.update("0", private="on", retry="50")]
        self.has(seen)
        seen += self.broker.away(lambda: [self.update(str(i), private="on") for i in range(1, 101)])
        seen += [self.update("the last", private="on")]
        self.has(seen)
