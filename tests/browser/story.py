"""What the tests of a page share: a broker, a browser, tabs."""
import atexit
import functools
import unittest

from sluicetest import Broker, quote
from webdriver import Browser

OFFSETS = "return [...document.querySelectorAll('#list .message')].map(e => Number(e.dataset.offset)).reverse()"
TEXTS = "return [...document.querySelectorAll('#list .message pre')].map(e => e.textContent).reverse()"
NOTES = "return [...document.querySelectorAll('#list .note')].map(e => e.textContent).reverse()"


@functools.cache
def browser():
    """One for all tests of the process; its start takes longer than most of them."""
    one = Browser()
    atexit.register(one.close)
    return one


class PageTest(unittest.TestCase):
    """One broker for each class; each test has tabs and a topic of its own."""

    settings = {"memory_limit": "64MiB"}

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(**cls.settings)
        cls.addClassCleanup(cls.broker.remove)
        cls.browser = browser()

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()

    def setUp(self):
        self.topic = self.id().rsplit(".", 1)[-1]
        self.open_tabs = []

    def tearDown(self):
        """No exception in a page, nothing that its policy forbids. (What the broker answers with an
        error, or does not answer, is logged as well; that is for each test to judge.)"""
        wrong = []
        for tab in self.open_tabs:
            wrong += [e["message"] for e in tab.log() if e["level"] == "SEVERE" and e["source"] != "network"]
            tab.close()
        self.assertEqual(wrong, [])

    def tab(self, topic=None):
        tab = self.browser.tab()
        self.open_tabs.append(tab)
        tab.go(self.address(topic))
        self.until_state(tab, "Live")
        return tab

    def address(self, topic=None):
        return self.broker.url + "/?topic=" + quote(topic or self.topic)

    def until_state(self, tab, state):
        tab.until(lambda: tab.text("#state") == state, "the state " + state)

    def until_offsets(self, tab, offsets):
        """Exactly these, in this order; none twice, none missing."""
        tab.until(lambda: tab.run(OFFSETS) == list(offsets), "offsets %s" % list(offsets))

    def publish(self, tab, body, **fields):
        """As people do: through the form."""
        self.submit(tab, dict(fields, body=body))

    def submit(self, tab, fields):
        tab.run("document.getElementById('result').className = ''")
        for css, text in fields.items():
            tab.type("#" + css, text)
        tab.click("#publish .main")
        tab.until(lambda: tab.run("return document.getElementById('result').className"), "the result")

    def send(self, *bodies):
        return [self.broker.offset(self.topic, body, {"Content-Type": "text/plain"}) for body in bodies]
