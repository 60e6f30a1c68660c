"""Where the Mercure hub looks for a token, which pages may use it, and what all its answers have."""
import os
import subprocess
import time
import unittest

import jwt
from sluicetest import BIN, BrokerTest, SoloBrokerTest, clean_env

HUB = "/.well-known/mercure"
GOOD = jwt.token(publish=["*"])
BAD = jwt.token(publish=["*"], key="another")
HERE, PAGES = "https://here.example", "https://here.example https://*.there.example:8443"


class AuthTest(BrokerTest):
    settings = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_publish_origins": PAGES, "log_level": "debug"}

    def post(self, headers=(), query=""):
        """Headers are pairs, for some come twice."""
        lines = ["POST %s%s HTTP/1.1" % (HUB, query), "Host: x", "Content-Length: 7",
                 "Content-Type: application/x-www-form-urlencoded"]
        lines += ["%s: %s" % pair for pair in (headers.items() if isinstance(headers, dict) else headers)]
        with self.broker.client() as c:
            c.send("\r\n".join(lines + ["", "topic=a"]).encode())
            return c.answer()

    def assertGood(self, *args, **named):
        answer = self.post(*args, **named)
        self.assertEqual(answer.status, 200, answer)

    def assertRefused(self, why, *args, **named):
        """With the text that all hubs have, and the reason where clients look for it."""
        answer = self.post(*args, **named)
        self.assertEqual((answer.status, answer.body), (401, b"Unauthorized\n"), answer)
        challenge = 'Bearer error="invalid_token", error_description="%s"' % why if why else "Bearer"
        self.assertEqual(answer.header("WWW-Authenticate"), challenge)


class TheHeader(AuthTest):
    def test_it_is_there_once(self):
        self.assertGood({"Authorization": "Bearer " + GOOD})
        self.assertRefused("more than one Authorization header",
                           [("Authorization", "Bearer " + GOOD), ("Authorization", "Bearer " + GOOD)])

    def test_its_scheme_is_written_bearer(self):
        why = "Authorization does not begin with Bearer and a blank"
        for value in GOOD, "bearer " + GOOD, "BEARER " + GOOD, "Bearer\t" + GOOD, "Basic " + GOOD, "":
            with self.subTest(value=value[:8]):
                self.assertRefused(why, {"Authorization": value})

    def test_it_is_48_bytes_long_at_least(self):
        self.assertRefused("too short for a token", {"Authorization": "Bearer " + "a" * 40})
        self.assertRefused("it has not three parts", {"Authorization": "Bearer " + "a" * 41})

    def test_another_kind_of_blank_is_no_part_of_a_token(self):
        self.assertRefused("it is not base64url", {"Authorization": "Bearer  " + GOOD})


class TheQuery(AuthTest):
    def test_it_has_a_token_once(self):
        self.assertGood(query="?authorization=" + GOOD)
        self.assertRefused("more than one authorization parameter",
                           query="?authorization=%s&authorization=%s" % (GOOD, GOOD))

    def test_it_may_be_percent_encoded(self):
        self.assertGood(query="?authorization=" + GOOD.replace(".", "%2E"))
        self.assertRefused("the authorization parameter is not well percent-encoded",
                           query="?authorization=%zz" + GOOD)

    def test_it_is_41_bytes_long_at_least(self):
        self.assertRefused("too short for a token", query="?authorization=" + "a" * 40)
        self.assertRefused("it has not three parts", query="?authorization=" + "a" * 41)
        self.assertRefused("too short for a token", query="?authorization")

    def test_its_name_is_in_small_letters(self):
        self.assertRefused(None, query="?Authorization=" + GOOD)

    def test_it_is_in_no_log_line(self):
        self.assertRefused("its signature is not of our key", query="?authorization=" + BAD)
        log = self.broker.log(1 << 20)
        self.assertIn("module=mercure event=unauthorized", log)
        for token in GOOD, BAD, jwt.KEY:
            self.assertNotIn(token, log)
            self.assertNotIn(token.split(".")[-1], log)


class TheCookie(AuthTest):
    def cookie(self, token=GOOD, **headers):
        return {"Cookie": "a=b; mercureAuthorization=%s; c=d" % token, **headers}

    def test_it_needs_a_page_to_come_from(self):
        self.assertRefused("a cookie without Origin or Referer", self.cookie())
        self.assertGood(self.cookie(Origin=HERE))
        self.assertGood(self.cookie(Referer=HERE + "/page?q#f"))

    def test_the_page_must_be_one_that_may_publish(self):
        why = "a cookie from a page that mercure_publish_origins does not have"
        for origin in ("http://here.example", "https://here.example:8443", "https://here.example.evil.example",
                       "https://evil.example", "null", HERE + "/"):
            with self.subTest(origin=origin):
                self.assertRefused(why, self.cookie(Origin=origin))
        for page in "https://evil.example/?" + HERE, "https://here.example@evil.example/", "nonsense", HERE + ".evil/":
            with self.subTest(referer=page):
                headers = self.cookie(Referer=page)
                self.assertRefused("a cookie without Origin or Referer" if page == "nonsense" else why, headers)

    def test_a_star_in_an_entry_is_any_text(self):
        self.assertGood(self.cookie(Origin="https://a.there.example:8443"))
        self.assertGood(self.cookie(Origin="https://A.B.there.EXAMPLE:8443"))
        why = "a cookie from a page that mercure_publish_origins does not have"
        self.assertRefused(why, self.cookie(Origin="https://there.example:8443"))
        self.assertRefused(why, self.cookie(Origin="https://a.there.example"))

    def test_origin_is_believed_before_referer(self):
        why = "a cookie from a page that mercure_publish_origins does not have"
        self.assertRefused(why, self.cookie(Origin="https://evil.example", Referer=HERE + "/"))
        self.assertGood(self.cookie(Origin=HERE, Referer="https://evil.example/"))

    def test_a_token_that_is_not_good_is_not_good_in_a_cookie_either(self):
        self.assertRefused("its signature is not of our key", self.cookie(BAD, Origin=HERE))
        self.assertRefused("it has not three parts", self.cookie("", Origin=HERE))


class Precedence(AuthTest):
    def test_the_first_place_that_has_one_decides_good_or_bad(self):
        header, query = {"Authorization": "Bearer " + GOOD}, "?authorization=" + GOOD
        cookie = {"Cookie": "mercureAuthorization=" + GOOD, "Origin": HERE}
        bad = "its signature is not of our key"
        self.assertGood({**header, "Cookie": "mercureAuthorization=" + BAD}, "?authorization=" + BAD)
        self.assertRefused(bad, {**cookie, "Authorization": "Bearer " + BAD}, query)
        self.assertRefused("too short for a token", {**cookie, "Authorization": "Bearer x"}, query)
        self.assertGood({**cookie, "Cookie": "mercureAuthorization=" + BAD}, query)
        self.assertRefused(bad, cookie, "?authorization=" + BAD)
        self.assertGood(cookie)

    def test_without_any_nobody_publishes(self):
        self.assertRefused(None)

    def test_a_token_may_be_used_as_long_as_it_is_valid(self):
        self.assertGood({"Authorization": "Bearer " + jwt.token(publish=["*"], exp=time.time() + 100.5)})
        self.assertRefused("it has expired",
                           {"Authorization": "Bearer " + jwt.token(publish=["*"], exp=time.time() - 0.5)})


class CrossOrigin(AuthTest):
    settings = {**AuthTest.settings, "mercure_cors_origins": PAGES}
    EXPOSED = "Durability, ETag, Last-Event-ID, Link, Retry-After, WWW-Authenticate"
    PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

    def access(self, answer):
        return {k: v for k, v in answer.headers if k.startswith("Access-Control-")}

    def preflight(self, origin=HERE, method="POST", headers=None):
        wanted = {"Origin": origin, "Access-Control-Request-Method": method}
        if headers is not None:
            wanted["Access-Control-Request-Headers"] = headers
        return self.broker.ask("OPTIONS", HUB, None, {k: v for k, v in wanted.items() if v})

    def test_a_page_that_may_is_told_so_by_its_name(self):
        for status, headers in (200, {"Authorization": "Bearer " + GOOD}), (401, {}):
            a = self.post({**headers, "Origin": HERE})
            self.assertEqual((a.status, a.header("Vary")), (status, "Origin"))
            self.assertEqual(self.access(a), {"Access-Control-Allow-Origin": HERE,
                                              "Access-Control-Allow-Credentials": "true",
                                              "Access-Control-Expose-Headers": self.EXPOSED})

    def test_another_page_is_told_nothing_and_no_cache_may_mix_them_up(self):
        for headers in {"Origin": "https://evil.example"}, {}:
            a = self.post({**headers, "Authorization": "Bearer " + GOOD})
            self.assertEqual((a.status, a.header("Vary")), (200, "Origin"))
            self.assertEqual(self.access(a), {})

    def test_a_preflight_is_given_what_it_asks_for(self):
        a = self.preflight(headers="Authorization, cache-control,last-event-id,Prefer")
        self.assertEqual((a.status, a.header("Vary"), a.body), (204, self.PREFLIGHT_VARY, b""))
        self.assertEqual(self.access(a), {
            "Access-Control-Allow-Origin": HERE, "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, cache-control,last-event-id,Prefer"})
        self.assertEqual(self.access(self.preflight(method="GET"))["Access-Control-Allow-Methods"], "GET")

    def test_a_preflight_for_what_may_not_be_is_given_nothing(self):
        for ask in ({"origin": "https://evil.example"}, {"origin": None}, {"method": "DELETE"},
                    {"headers": "authorization, x-other"}):
            with self.subTest(ask=ask):
                a = self.preflight(**ask)
                self.assertEqual((a.status, a.header("Vary")), (204, self.PREFLIGHT_VARY))
                self.assertEqual(self.access(a), {})

    def test_an_answer_in_the_middle_of_a_body_has_its_headers_too(self):
        with self.broker.client() as c:
            c.send(c.head("POST", HUB, {"Authorization": "Bearer " + GOOD, "Origin": HERE,
                                        "Content-Type": "application/x-www-form-urlencoded",
                                        "Transfer-Encoding": "chunked"}))
            piece = b"topic=" + b"a" * 65530
            try:
                for _ in range(100):
                    c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            except ConnectionError:
                pass  # it need not read on
            a = c.answer()
        self.assertEqual(a.status, 413, a)
        self.assertEqual(a.header("Access-Control-Allow-Origin"), HERE)
        self.assertEqual(a.header("X-Frame-Options"), "DENY")

    def test_the_native_api_stays_open_to_all_pages(self):
        a = self.broker.ask("GET", "/v1/topics", None, {"Origin": "https://any.example"})
        self.assertEqual(self.access(a), {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"})


class OtherPages(SoloBrokerTest):
    def test_without_origins_no_header_speaks_of_them(self):
        broker = self.start(mercure_publisher_jwt_key=jwt.KEY)
        for method, headers in (("POST", {}), ("OPTIONS", {"Access-Control-Request-Method": "POST"})):
            a = broker.ask(method, HUB, None, {"Origin": HERE, **headers})
            self.assertEqual(a.status, 204 if method == "OPTIONS" else 401)
            self.assertEqual([k for k, _ in a.headers if k.startswith("Access-Control") or k == "Vary"], [])

    def test_a_star_is_any_page(self):
        broker = self.start(mercure_publisher_jwt_key=jwt.KEY, mercure_cors_origins="*",
                            mercure_publish_origins="*", mercure_cookie_name="t")
        a = broker.ask("POST", HUB, "topic=a", {"Origin": "https://any.example", "Cookie": "t=" + GOOD,
                                                "Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual((a.status, a.header("Access-Control-Allow-Origin")), (200, "*"))
        a = broker.ask("POST", HUB, "topic=a", {"Origin": HERE, "Cookie": "mercureAuthorization=" + GOOD})
        self.assertEqual(a.status, 401)


class AllAnswers(AuthTest):
    def test_they_keep_browsers_from_doing_other_things_with_them(self):
        for answer in (self.post({"Authorization": "Bearer " + GOOD}), self.post(), self.broker.ask("OPTIONS", HUB),
                       self.broker.ask("DELETE", HUB), self.broker.ask("GET", "/.well-known/nothing")):
            with self.subTest(status=answer.status):
                self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
                self.assertEqual(answer.header("X-Frame-Options"), "DENY")
                self.assertEqual(answer.header("X-XSS-Protection"), "1; mode=block")
                self.assertEqual(answer.header("Content-Security-Policy"), "default-src 'self'")


class TheStart(unittest.TestCase):
    """With keys that are not what their algorithm needs."""

    def run_with(self, **variables):
        env = {**clean_env(), **{"SLUICE_MERCURE_" + k: v for k, v in variables.items()}}
        done = subprocess.run([BIN, "check-config"], env=env, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr, done.stdout

    def test_a_key_that_is_no_public_key_stops_it_and_is_not_shown(self):
        status, err, out = self.run_with(PUBLISHER_JWT_KEY="geheim", PUBLISHER_JWT_ALG="RS256")
        self.assertEqual(status, 1)
        self.assertEqual(err, "sluice: mercure_publisher_jwt_key is no public key in PEM (-----BEGIN PUBLIC "
                              "KEY-----), which its algorithm needs (mercure_publisher_jwt_alg = RS256)\n")
        self.assertNotIn("geheim", err + out)

    def test_a_public_key_from_a_file_is_fine(self):
        key = os.path.join(os.path.dirname(__file__), "..", "support", "test_public_key.pem")
        with open(key) as f:
            in_one_line = f.read().replace("\n", "\\n")
        for text in "@" + key, in_one_line:
            status, err, out = self.run_with(SUBSCRIBER_JWT_KEY=text, SUBSCRIBER_JWT_ALG="ES256")
            self.assertEqual(status, 0, err)
            self.assertIn("mercure_subscriber_jwt_key = set", out)
