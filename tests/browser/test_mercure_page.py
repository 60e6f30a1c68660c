"""The Mercure hub's page in a real browser."""
import subprocess

import jwt
from story import NOTES, TEXTS, PageTest

MARKUP = '<img src=x onerror="window.stolen=1">'
IDS = "return [...document.querySelectorAll('#list .message')].map(e => e.dataset.id).reverse()"
BOTH = jwt.token(publish=["*"], subscribe=["*"])


class MercurePage(PageTest):
    settings = {"memory_limit": "64MiB", "mercure_publisher_jwt_key": jwt.KEY,
                "mercure_subscriber_jwt_key": jwt.KEY, "mercure_anonymous": True}

    def setUp(self):
        super().setUp()
        self.topic = "https://example.com/" + self.id().rsplit(".", 1)[-1]
        self.hub = self.broker.url + "/page/mercure.html"

    def tab(self, selector=None, token=None):
        """Subscribed, through the form."""
        tab = self.browser.tab()
        self.open_tabs.append(tab)
        tab.go(self.hub)
        tab.type("#selectors", selector or self.topic)
        if token:
            tab.type("#token", token)
        tab.click("#open button")
        return tab

    def until_texts(self, tab, *texts):
        tab.until(lambda: tab.run(TEXTS) == list(texts), "updates %r" % (texts,))

    def update(self, data, **fields):
        """Straight to the hub; the update's id."""
        form = ["--data-urlencode", "topic=" + self.topic, "--data-urlencode", "data=" + data]
        for name, value in fields.items():
            form += ["--data-urlencode", "%s=%s" % (name, value)]
        done = subprocess.run(["curl", "-sSf", "-H", "Authorization: Bearer " + BOTH] + form +
                              [self.broker.url + "/.well-known/mercure"], capture_output=True, check=True, text=True)
        return done.stdout.strip()

    def test_what_one_tab_publishes_the_other_is_told(self):
        there = self.tab(self.topic + "/{id}")
        self.until_state(there, "Live")
        here = self.tab("*", BOTH)
        self.until_state(here, "Live")
        self.submit(here, {"topics": self.topic + "/7\n" + self.topic, "data": "two\nlines", "id": "urn:x:7", "type": "book"})
        self.assertEqual(here.text("#result"), "On disk as urn:x:7.")
        for tab in (here, there):
            self.until_texts(tab, "two\nlines")
            self.assertEqual(tab.run(IDS), ["urn:x:7"])
            self.assertEqual(tab.text("#list .type"), "book")

    def test_a_reload_goes_on_behind_what_was_shown(self):
        tab = self.tab()
        self.until_state(tab, "Live")
        ids = [self.update("one"), self.update("two")]
        self.until_texts(tab, "one", "two")
        address = tab.run("return location.href")
        tab.go("about:blank")
        self.update("three")
        self.update("four")
        tab.go(address)
        self.until_texts(tab, "three", "four")
        self.assertEqual(tab.run(NOTES), ["Going on behind %s." % ids[1]])

    def test_the_broker_comes_back_and_nothing_is_missing(self):
        tab = self.tab()
        self.until_state(tab, "Live")
        self.update("one", retry="2000")  # it comes back when "two" is there
        self.until_texts(tab, "one")
        self.broker.restart()
        self.update("two")
        self.until_texts(tab, "one", "two")
        self.update("three")
        self.until_texts(tab, "one", "two", "three")

    def test_what_is_private_comes_to_who_has_a_token(self):
        anybody, member = self.tab(), self.tab(token=BOTH)
        for tab in (anybody, member):
            self.until_state(tab, "Live")
        self.update("secret", private="on")
        self.update("known")
        self.until_texts(member, "secret", "known")
        self.until_texts(anybody, "known")

    def test_a_bad_token_is_told_and_is_in_no_address(self):
        tab = self.tab(token=BOTH + "x")
        self.until_state(tab, "Stopped")
        self.assertEqual(tab.text("#trouble"), "Unauthorized. Of the token: its signature is not of our key.")
        self.submit(tab, {"topics": self.topic})
        self.assertEqual(tab.text("#result"), tab.text("#trouble"))
        tab.type("#publisher-token", BOTH)
        self.submit(tab, {"topics": self.topic})
        self.assertIn("On disk as urn:uuid:", tab.text("#result"))
        said = tab.run("return location.href + JSON.stringify(sessionStorage) + JSON.stringify(localStorage)")
        self.assertNotIn(BOTH[:40], said)

    def test_markup_is_text(self):
        tab = self.tab()
        self.until_state(tab, "Live")
        self.update(MARKUP, id=MARKUP + self.topic, type=MARKUP)
        self.until_texts(tab, MARKUP)
        self.assertEqual(tab.text("#list .type"), MARKUP)
        self.assertIsNone(tab.run("return document.querySelector('#list img') || (window.stolen ?? null)"))

    def test_the_curl_command_publishes_the_same(self):
        tab = self.tab()
        self.until_state(tab, "Live")
        for css, text in {"topics": self.topic, "data": "it's & <x>\ny", "id": "urn:curl"}.items():
            tab.type("#" + css, text)
        done = subprocess.run(["bash", "-c", tab.text("#curl-publish")], env={"PATH": "/usr/bin:/bin", "TOKEN": BOTH},
                              capture_output=True, check=True, timeout=60, text=True)
        self.assertEqual(done.stdout.strip(), "urn:curl")
        self.until_texts(tab, "it's & <x>\ny")
