"""The page at GET / in a real browser: what people see and do there."""
import json
import shutil
import subprocess

from story import NOTES, OFFSETS, TEXTS, PageTest

ROWS_MOST = 200  # http/page/list.js
MARKUP = '<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>'


class Reading(PageTest):
    def test_what_is_published_in_one_tab_is_seen_in_the_other(self):
        here, there = self.tab(), self.tab()
        self.publish(here, "one", type="text/plain")
        self.assertEqual(here.text("#result"), "On disk as #0.")
        self.publish(there, "two", type="text/plain")
        for tab in (here, there):
            self.until_offsets(tab, [0, 1])
            self.assertEqual(tab.run(TEXTS), ["one", "two"])

    def test_a_reload_goes_on_behind_what_was_shown(self):
        self.send("before", "and before")
        tab = self.tab()
        self.until_offsets(tab, [0, 1])
        tab.go("about:blank")
        self.send("while", "it", "was", "closed")
        tab.go(self.address())
        self.until_offsets(tab, [2, 3, 4, 5])
        self.send("after")
        self.until_offsets(tab, [2, 3, 4, 5, 6])
        tab.reload()
        self.until_state(tab, "Live")
        self.send("and after")
        self.until_offsets(tab, [7])
        self.assertEqual(tab.run(NOTES), ["Going on behind #6."])

    def test_a_reload_misses_nothing_though_nothing_had_been_shown(self):
        self.send("old")
        tab = self.browser.tab()
        self.open_tabs.append(tab)
        tab.go(self.broker.url + "/")
        tab.type("#topic", self.topic)
        tab.run("document.getElementById('from').value = 'latest'")
        tab.click("#open button")
        self.until_state(tab, "Live")
        tab.go("about:blank")
        self.send(*"abcdefghijklmnopqrstuvwxyz")
        tab.go(self.address())
        self.until_offsets(tab, range(1, 27))

    def test_a_topic_that_is_not_there_yet_is_waited_for(self):
        tab = self.tab()
        self.assertTrue(tab.shown("#empty"))
        self.send("the first")
        self.until_offsets(tab, [0])
        self.assertFalse(tab.shown("#empty"))

    def test_pause_and_go_on(self):
        tab = self.tab()
        self.send("seen")
        self.until_offsets(tab, [0])
        tab.click("#pause")
        self.until_state(tab, "Paused")
        self.send("kept back")
        tab.click("#pause")
        self.until_offsets(tab, [0, 1])

    def test_earlier_messages_come_when_they_are_asked_for(self):
        self.send(*["m%d" % i for i in range(90)])
        tab = self.tab()
        self.until_offsets(tab, range(70, 90))
        tab.click("#earlier")
        self.until_offsets(tab, range(20, 90))
        tab.click("#earlier")
        self.until_offsets(tab, range(90))
        self.assertFalse(tab.shown("#earlier"))

    def test_the_topic_stands_in_the_address_and_back_goes_back(self):
        self.send("of the first")
        self.broker.offset(self.topic + "/ü?#&", "of the second", {"Content-Type": "text/plain"})
        tab = self.tab()
        self.until_offsets(tab, [0])
        tab.type("#topic", self.topic + "/ü?#&")
        tab.click("#open button")
        tab.until(lambda: tab.run(TEXTS) == ["of the second"], "the second topic")
        self.assertEqual(tab.run("return new URLSearchParams(location.search).get('topic')"), self.topic + "/ü?#&")
        tab.back()
        tab.until(lambda: tab.run(TEXTS) == ["of the first"], "the first topic")

    def test_a_flood_leaves_the_newest_and_says_how_many_came(self):
        tab = self.tab()
        tab.run("""window.most = 0;
            new MutationObserver(changes => changes.forEach(c => { most = Math.max(most, c.addedNodes.length) }))
            .observe(document.getElementById('list'), { childList: true })""")
        tab.click("#pause")
        for begin in range(0, 3000, 1000):
            lines = "\n".join('{"data":"m%d"}' % i for i in range(begin, begin + 1000))
            self.assertEqual(self.broker.batch(self.topic, lines).status, 201)
        tab.click("#pause")
        self.until_offsets(tab, range(3000 - ROWS_MOST, 3000))
        self.assertLessEqual(tab.run("return most"), ROWS_MOST)  # no row is made only to be thrown away
        self.assertIn("3,000 came; the newest 200 are shown", tab.text("#count"))


class TheBrokerGoes(PageTest):
    def test_and_comes_back_and_the_page_goes_on_without_a_gap(self):
        self.send("one", "two")
        tab = self.tab()
        self.until_offsets(tab, [0, 1])
        self.broker.stop()
        tab.until(lambda: tab.text("#state") in ("Reconnecting…", "Trying again…"), "noticing")
        self.broker.start()
        self.send("three", "four")
        self.until_offsets(tab, range(4))
        self.until_state(tab, "Live")
        self.send("five")
        self.until_offsets(tab, range(5))

    def test_and_a_publisher_is_told(self):
        tab = self.tab()
        self.broker.stop()
        self.publish(tab, "into the void", type="text/plain")
        self.assertIn("The broker does not answer", tab.text("#result"))
        self.broker.start()
        self.publish(tab, "heard", type="text/plain")
        self.assertEqual(tab.text("#result"), "On disk as #0.")
        self.until_offsets(tab, [0])

    def test_and_comes_back_with_another_store(self):
        self.send("a", "b", "c")
        tab = self.tab()
        self.until_offsets(tab, [0, 1, 2])
        self.broker.stop()
        shutil.rmtree(self.broker.data_dir)
        self.broker.start()
        self.send("anew")
        self.until_offsets(tab, [0, 1, 2, 0])
        self.assertIn("has never given #2", tab.run(NOTES)[0])

    def test_what_expired_before_it_was_read_is_said(self):
        self.send("one")
        tab = self.tab()
        self.until_offsets(tab, [0])
        tab.click("#pause")
        self.send("two", "three")
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.topic, '{"all":true}')
        self.send("four")
        tab.click("#pause")
        self.until_offsets(tab, [0, 3])
        self.assertEqual(tab.run(NOTES), ["2 messages before #3 are gone: expired or removed."])

    def test_what_it_refuses_is_told_in_its_words(self):
        self.broker.restart(auto_create=False)
        self.addCleanup(self.broker.restart, auto_create=True)
        tab = self.browser.tab()
        self.open_tabs.append(tab)
        tab.go(self.address())
        tab.until(lambda: "There is no topic of this name" in tab.text("#trouble"), "the problem")
        self.publish(tab, "x", ttl="soon")
        self.assertIn("TTL: soon is not a number of seconds", tab.text("#result"))
        self.broker.ask("PUT", "/v1/topics/" + self.topic)
        self.until_state(tab, "Live")
        self.assertFalse(tab.shown("#trouble"))


class Showing(PageTest):
    def test_markup_is_text_wherever_it_stands(self):
        self.topic = MARKUP[:60] + "/"
        headers = {"Content-Type": "text/html", "Message-Key": MARKUP, "Message-Note": MARKUP}
        self.broker.offset(self.topic, MARKUP, headers)
        self.broker.offset(self.topic, json.dumps({"text": MARKUP, "more": [1, 2, 3]}), {"Content-Type": "application/json"})
        self.broker.offset(self.topic, MARKUP, {"Content-Type": MARKUP})
        tab = self.tab()
        self.until_offsets(tab, [0, 1, 2])
        self.assertEqual(tab.run(TEXTS)[0], MARKUP)
        self.assertEqual(tab.text(".message:last-child .key"), MARKUP)
        self.assertEqual(tab.text(".message:last-child .attribute"), "note: " + MARKUP)
        self.assertIn(MARKUP, tab.text(".message:first-child .type"))
        self.publish(tab, "x", ttl=MARKUP)
        self.assertIn("<img", tab.text("#result"))
        for what in ("#list :is(img, script)", "#result *", "body > img", ".publish img"):
            self.assertIsNone(tab.run("return document.querySelector(arguments[0])", what), what)
        self.assertIsNone(tab.run("return window.stolen ?? null"))

    def test_the_policy_would_not_let_markup_in_if_the_page_did(self):
        tab = self.tab()
        refused = "try { document.body.innerHTML = arguments[0]; return 'let in' } catch (e) { return e.name }"
        self.assertEqual(tab.run(refused, MARKUP), "TypeError")
        tab.log()  # says so, which is right

    def test_a_message_that_is_a_page_does_not_act_as_the_broker_s(self):
        """Opened by itself it is what its publisher says it is, so it must not run here."""
        self.broker.offset(self.topic, "<title>still</title><script>document.title = 'ran'</script>",
                           {"Content-Type": "text/html"})
        tab = self.browser.tab()
        self.addCleanup(tab.close)
        tab.go("%s/v1/topics/%s/messages/0" % (self.broker.url, self.topic))
        self.assertEqual(tab.run("return [document.title, self.origin]"), ["still", "null"])
        self.assertIn("sandboxed", str(tab.log()))

    def test_each_kind_of_message_is_readable(self):
        send = lambda body, type: self.broker.offset(self.topic, body, {"Content-Type": type})  # noqa: E731
        send('{"n":12345678901234567890,"list":[],"deep":{"text":"a \\"quoted\\" one, {so}","no":null}}', "application/json")
        send('{"short":1}', "application/json")
        send('{"type":"says form, as curl -d does","but":"is JSON all the same"}', "application/x-www-form-urlencoded")
        send("two\nlines\r\nand žluťoučký", "text/plain")
        send(b"\x89PNG\x00\xff", "image/png")
        send(b"x" * 300000, "application/zip")
        send("", "text/plain")
        send("[" * 9000 + "]" * 9000, "application/json")
        send('{"data":{"data":"x"}}', "application/json")
        tab = self.tab()
        self.until_offsets(tab, range(9))
        texts = tab.run(TEXTS)
        self.assertEqual(texts[0], '{\n  "n": 12345678901234567890,\n  "list": [],\n'
                                   '  "deep": {"text": "a \\"quoted\\" one, {so}", "no": null}\n}')
        self.assertEqual(texts[1], '{"short": 1}')
        self.assertEqual(texts[2], '{\n  "type": "says form, as curl -d does",\n  "but": "is JSON all the same"\n}')
        self.assertEqual(texts[3], "two\nlines\r\nand žluťoučký")
        self.assertEqual(texts[4], "0000  89 50 4e 47 00 ff        ·PNG··")
        self.assertEqual(texts[5], "empty")
        self.assertEqual(len(texts[6]), 16384)
        self.assertEqual(texts[7], '{"data": {"data": "x"}}')
        links = tab.run("return [...document.querySelectorAll('a.download')].map(a => [a.getAttribute('href'), a.download])")
        self.assertEqual(len(links), 3)
        self.assertEqual(links[1], ["%s/v1/topics/%s/messages/5" % (self.broker.url, self.topic), self.topic + "-5"])

    def test_a_phone_needs_no_sideways_scrolling(self):
        self.broker.offset(self.topic, "w" * 500, {"Content-Type": "text/plain", "Message-Key": "k" * 200})
        tab = self.tab()
        tab.run("document.getElementById('curl').open = true")
        tab.devtools("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
        tab.until(lambda: tab.run("return innerWidth") == 390, "the width")
        self.assertEqual(tab.run("return document.documentElement.scrollWidth"), 390)


class Publishing(PageTest):
    KEY, BODY = "klíč 1", "it's\n{\"ž\": \"$HOME `id` \\\\\"}"

    def test_the_form_s_fields_arrive(self):
        tab = self.tab()
        self.publish(tab, self.BODY, type="text/x-mine", key=self.KEY, ttl="5m")
        self.assertEqual(tab.text("#result"), "On disk as #0.")
        answer = self.broker.message(self.topic, 0)
        self.assertEqual(answer.text, self.BODY)
        self.assertEqual(answer.header("Content-Type"), "text/x-mine")
        self.assertEqual(answer.header("Message-Key"), self.KEY)
        m = self.broker.read(self.topic).json["messages"][0]
        self.assertLess(m["time"], m["expires_at"])

    def test_the_curl_commands_do_the_same(self):
        tab = self.tab()
        for css, text in (("body", self.BODY), ("type", "text/x-mine"), ("key", self.KEY), ("ttl", "5m")):
            tab.type("#" + css, text)
        done = subprocess.run(["bash", "-c", tab.text("#curl-publish")], capture_output=True, check=True, timeout=60)
        self.assertEqual(json.loads(done.stdout)["offset"], 0)
        self.until_offsets(tab, [0])
        self.assertEqual(tab.run(TEXTS), [self.BODY])
        self.assertEqual(self.broker.message(self.topic, 0).header("Message-Key"), self.KEY)
        done = subprocess.run(["bash", "-c", tab.text("#curl-read")], capture_output=True, check=True, timeout=60)
        self.assertEqual(json.loads(done.stdout)["messages"][0]["data"], self.BODY)
        stream = subprocess.Popen(["bash", "-c", "exec " + tab.text("#curl-stream")], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        try:
            self.assertTrue(stream.stdout.readline().startswith(b"retry: "))
        finally:
            stream.kill()
            stream.communicate()

    def test_publishing_opens_the_topic_that_is_named(self):
        tab = self.browser.tab()
        self.open_tabs.append(tab)
        tab.go(self.broker.url + "/")
        tab.type("#topic", self.topic)
        self.publish(tab, "hello", type="text/plain")
        self.until_offsets(tab, [0])
        self.until_state(tab, "Live")
        self.assertIn("topic=" + self.topic, tab.run("return location.search"))

    def test_json_that_is_none_is_stored_and_said(self):
        tab = self.tab()
        self.publish(tab, "{not json", type="application/json")
        self.assertEqual(tab.text("#result"), "On disk as #0, though it is not valid JSON.")
        self.until_offsets(tab, [0])
        self.assertEqual(tab.run(TEXTS), ["{not json"])
