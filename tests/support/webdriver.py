"""A real browser: headless Chromium, told what to do by its driver over HTTP (W3C WebDriver).

Debian's packages chromium and chromium-driver; nothing else is needed. What the browser writes
to its console is kept: an exception in a page, or a breach of its policy, is found there.
"""
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request

from sluicetest import PATIENCE, _before_exec, free_port, until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the standard's name for a reference
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--lang=en-US", "--window-size=1280,900"]


class WebDriverError(AssertionError):
    pass


def is_installed():
    return bool(shutil.which("chromedriver") and shutil.which("chromium"))


class Browser:
    def __init__(self):
        self.own = tempfile.mkdtemp(prefix="sluice-browser-")
        self.address = "http://127.0.0.1:%d" % free_port()
        self.session = None
        with open(os.path.join(self.own, "log"), "wb") as log:
            self.process = subprocess.Popen(
                ["chromedriver", "--port=" + self.address.rsplit(":", 1)[1]], stdout=log, stderr=log,
                preexec_fn=_before_exec, start_new_session=True, env=dict(os.environ, HOME=self.own, TMPDIR=self.own))
        try:
            until(self.is_ready, what="the driver")
            self.begin()
        except BaseException:
            self.close()
            raise

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("chromedriver ended with %d" % self.process.returncode)
        try:
            return self.ask("GET", "/status")["ready"]
        except OSError:
            return False

    def begin(self):
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": ARGUMENTS},
                  "goog:loggingPrefs": {"browser": "ALL"}}
        said = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = said["sessionId"]
        self.first = self.tell("window", method="GET")  # stays: without a tab there is no browser

    def close(self):
        try:
            if self.session:
                self.ask("DELETE", "/session/" + self.session)
        except (OSError, WebDriverError):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # it, and browsers that it left behind
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.own, ignore_errors=True)

    def ask(self, method, path, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            said = json.load(e)["value"]
            raise WebDriverError("%s %s: %s" % (method, path, said.get("message", said))) from None

    def tell(self, what, body=None, method="POST"):
        return self.ask(method, "/session/%s/%s" % (self.session, what), body)

    def tab(self):
        """A new one."""
        return Tab(self, self.tell("window/new", {"type": "tab"})["handle"])


class Tab:
    """Each call goes to this tab, whichever the last one went to."""

    def __init__(self, browser, handle):
        self.browser, self.handle = browser, handle

    def tell(self, what, body=None, method="POST"):
        self.browser.tell("window", {"handle": self.handle})
        return self.browser.tell(what, body, method)

    def go(self, url):
        self.tell("url", {"url": url})

    def reload(self):
        self.tell("refresh")

    def back(self):
        self.tell("back")

    def close(self):
        self.tell("window", method="DELETE")
        self.browser.tell("window", {"handle": self.browser.first})

    def devtools(self, command, **params):
        """What WebDriver has no word for; of this tab, as long as it is there."""
        return self.tell("goog/cdp/execute", {"cmd": command, "params": params})

    def run(self, script, *args):
        """A function's body in the page; what it returns."""
        return self.tell("execute/sync", {"script": script, "args": list(args)})

    def element(self, css):
        return self.tell("element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self.tell("element/%s/click" % self.element(css))

    def type(self, css, text):
        """In place of what stands there."""
        element = self.element(css)
        self.browser.tell("element/%s/clear" % element)
        self.browser.tell("element/%s/value" % element, {"text": text})

    def text(self, css):
        return self.run("return document.querySelector(arguments[0]).textContent", css)

    def shown(self, css):
        return self.run("return document.querySelector(arguments[0])?.checkVisibility() ?? false", css)

    def log(self):
        """What has come to the console since it was last asked."""
        return self.tell("se/log", {"type": "browser"})

    def screenshot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.tell("screenshot", method="GET")))

    def until(self, check, what):
        try:
            return until(check, what=what)
        except AssertionError as e:
            raise AssertionError("%s; the page says: %r" % (e, self.run("return document.body?.innerText"))) from None
