"""The page at GET /: what the route itself answers. What it does in a browser: tests/browser."""
import os
import posixpath
import re

from sluicetest import ROOT, BrokerTest

SOURCES = os.path.join(ROOT, "http/page")
FILES = sorted(name for name in os.listdir(SOURCES) if name.endswith((".css", ".js", ".svg", ".html")) and name != "index.html")


def source(name):
    with open(os.path.join(SOURCES, name), "rb") as f:
        return f.read()


class ThePage(BrokerTest):
    settings = {"memory_limit": "64MiB"}  # the smallest head of a connection

    def get(self, path, method="GET", **headers):
        return self.broker.ask(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def test_the_page_and_its_files_are_those_of_the_sources(self):
        page = self.get("/")
        self.assertEqual((page.status, page.body), (200, source("index.html")))
        self.assertEqual(page.header("Content-Type"), "text/html; charset=utf-8")
        for name in FILES:
            answer = self.get("/page/" + name)
            self.assertEqual((answer.status, answer.body), (200, source(name)), name)

    def test_a_client_that_asks_for_anything_gets_the_page(self):
        for accept in ("*/*", "application/json", "text/html"):
            self.assertEqual(self.get("/", Accept=accept).header("Content-Type"), "text/html; charset=utf-8")

    def test_nothing_comes_from_outside(self):
        for name in FILES:
            if name.endswith((".js", ".css")):
                self.assertEqual(re.findall(rb"https?://|: *url\(|@import|from \"[^.]", source(name)), [], name)
        for page, folder in (("/", "/"), ("/page/mercure.html", "/page/")):
            for link in re.findall(r'(?:src|href)="([^"]*)"', self.get(page).text):
                self.assertEqual(self.get(posixpath.normpath(folder + link)).status, 200, link)

    def test_a_browser_may_run_and_load_only_what_is_ours(self):
        for path in ("/", "/page/main.js"):
            answer = self.get(path)
            policy = dict(p.strip().partition(" ")[::2] for p in answer.header("Content-Security-Policy").split(";"))
            self.assertEqual(policy["default-src"], "'none'")
            self.assertEqual((policy["script-src"], policy["style-src"]), ("'self'", "'self'"))
            self.assertEqual(policy["frame-ancestors"], "'none'")
            self.assertNotIn("unsafe", str(policy))
            self.assertEqual(answer.header("X-Frame-Options"), "DENY")
            self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
        self.assertNotRegex(self.get("/").text, r"(?i)<script>|<style|\son\w+=|style=")

    def test_head_says_the_same_without_the_page(self):
        whole, head = self.get("/"), self.get("/", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.header("Content-Length"), str(len(whole.body)))
        self.assertEqual(head.header("ETag"), whole.header("ETag"))

    def test_what_a_browser_has_is_not_sent_again(self):
        tag = self.get("/").header("ETag")
        self.assertRegex(tag, r'^"\w+"$')
        self.assertEqual(self.get("/").header("Cache-Control"), "no-cache")
        for tags in (tag, "W/" + tag, '"other", ' + tag, "*"):
            answer = self.get("/", If_None_Match=tags)
            self.assertEqual((answer.status, answer.body, answer.header("ETag")), (304, b"", tag))
        for tags in ('"other"', self.get("/page/main.js").header("ETag")):
            self.assertEqual(self.get("/", If_None_Match=tags).status, 200)

    def test_other_names_and_verbs_are_told_so(self):
        for path in ("/page/", "/page/nothing.js", "/page/index.html", "/page", "//", "/page/main.js/"):
            self.assertProblem(self.get(path), 404, "route_not_found")
        answer = self.get("/", "POST")
        self.assertProblem(answer, 405, "method_not_allowed")
        self.assertEqual(answer.header("Allow"), "GET, HEAD, OPTIONS")

    def test_one_connection_gets_the_whole_page_many_times(self):
        paths = ["/"] + ["/page/" + name for name in FILES]
        with self.broker.client() as c:
            sizes = {p: len(c.ask("GET", p).body) for p in paths}
            for _ in range(20):
                for p in paths:
                    self.assertEqual(len(c.ask("GET", p).body), sizes[p])


class ThePageIsOff(BrokerTest):
    settings = {"page": False}

    def test_its_routes_are_like_any_that_is_not_there(self):
        unknown = self.broker.ask("GET", "/nothing-here").json
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            for path in ("/", "/page/main.js"):
                problem = self.assertProblem(self.broker.ask(method, path), 404, "route_not_found")
                self.assertEqual(problem["detail"], unknown["detail"])

    def test_the_rest_of_the_broker_is_there(self):
        self.assertEqual(self.broker.offset("t", "x"), 0)
