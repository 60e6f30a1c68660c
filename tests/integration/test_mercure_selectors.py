"""Topic selectors match what a regular expression made by the rules matches.

The expression is built here from the rules alone (RFC 6570 for what a template is, Mercure 0.x for
what one matches), and Python's engine decides; the broker's matcher never saw either. Topics are
short, since that engine tries things twice.
"""
import os
import random
import re
import subprocess
import unittest

import sluicetest

ENCODED = "%[0-9A-Fa-f]{2}"
NAME = "(?:[A-Za-z0-9_]|%s)+" % ENCODED
VARIABLE = r"%s(?:\.%s)*(?:\*|:[1-9][0-9]{0,3})?" % (NAME, NAME)
EXPRESSION = r"\{([+#./;?&]?)(%s(?:,%s)*)\}" % (VARIABLE, VARIABLE)
PLANES = "".join("%s-%s" % (chr(p * 0x10000 + (0x1000 if p == 14 else 0)), chr(p * 0x10000 + 0xfffd))
                 for p in range(1, 17))
LITERAL = "(?:[!#$&(-;=?-\\[\\]_a-z~\u00a0-\ud7ff\ue000-\ufdcf\ufdf0-\uffef%s]|%s)" % (PLANES, ENCODED)
TEMPLATE = re.compile("(?:%s|%s)*" % (LITERAL, EXPRESSION))
ONE = re.compile(EXPRESSION)

UNRESERVED = r"A-Za-z0-9\-._~"
RESERVED = r":/?#\[\]@!$&'()*+,;="
#            prefix, separator, characters, named
OPERATORS = {"": ("", ",", UNRESERVED + ",", False), "+": ("", ",", UNRESERVED + RESERVED, False),
             "#": ("#", ",", UNRESERVED + RESERVED, False), ".": (".", ".", UNRESERVED + ",", False),
             "/": ("/", "/", UNRESERVED + ",", False), ";": (";", ";", UNRESERVED + ",", True),
             "?": ("?", "&", UNRESERVED + ",", True), "&": ("&", "&", UNRESERVED + ",", True)}


def run(chars, equals):
    return "(?:[%s%s]|%s)*" % (chars, "=" if equals else "", ENCODED)


def expression(match):
    prefix, separator, chars, named = OPERATORS[match[1]]
    exploded = [v.endswith("*") for v in match[2].split(",")]
    times = "*" if any(exploded) else "{0,%d}" % (len(exploded) - 1)
    return "(?:%s%s(?:%s%s)%s)?" % (re.escape(prefix), run(chars, named or exploded[0]), re.escape(separator),
                                    run(chars, named or any(exploded)), times)


def regex(text):
    """None: it is no template."""
    if "{" not in text or not TEMPLATE.fullmatch(text):
        return None
    made, at = "", 0
    for m in ONE.finditer(text):
        made += re.escape(text[at:m.start()]) + expression(m)
        at = m.end()
    return re.compile(made + re.escape(text[at:]))


class Maker:
    """Templates, and topics that are near to them."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, chars, most):
        return "".join(self.random.choice(chars) for _ in range(self.random.randint(0, most)))

    def variable(self):
        r = self.random
        name = r.choice(["a", "b", "c1", "_", "a.b", "%41", "x.%2f"])
        return name + r.choice(["", "", "", "*", ":3"])

    def brace(self):
        r = self.random
        return "{%s%s}" % (r.choice(list(OPERATORS)), ",".join(self.variable() for _ in range(r.choice([1, 1, 1, 2, 3]))))

    def literal(self):
        return self.random.choice(["a", "ab", "aab", "/", "/a/", ".", ",", "?x=", "#", "&", ";", "%41", "41", "1", "\u00e9",
                                   "https://e.com/"])

    def spoilt(self, text, chars):
        """With one byte removed, added or another one."""
        r, at = self.random, self.random.randint(0, len(text))
        return text[:at] + r.choice(["", r.choice(chars)]) + text[at + r.randint(0, 1):]

    def template(self):
        r = self.random
        text = "".join(self.brace() if r.random() < 0.55 else self.literal() for _ in range(r.randint(1, 4)))
        return self.spoilt(text, "{}%:*,.+=|!@ '\"\\^<a0\u0085\ufdd0\ue000\U0001fffe\U000f0000") if r.random() < 0.3 else text

    def expanded(self, match):
        """Of the form, now and then beyond it: a separator too many, an equals sign."""
        r = self.random
        prefix, separator, _, _ = OPERATORS.get(match[1], OPERATORS[""])
        if r.random() < 0.2:
            return ""
        return prefix + separator.join(self.some(["a", "b", "1", "%41", "=", "/", ","], 2)
                                       for _ in range(r.choice([1, 1, 2, 3, 4])))

    def topic(self, text):
        r = self.random
        if r.random() < 0.1:
            return self.some("ab/.,;?&#=%41", 8)
        topic = re.sub(r"\{(\W?)[^}]*\}", self.expanded, text)
        for _ in range(r.choice([0, 0, 1, 2])):
            topic = self.spoilt(topic, "ab/.,;?&#=%41\u00e9 ")
        return text if r.random() < 0.02 else topic


def pairs(seed, templates, topics):
    maker = Maker(seed)
    for _ in range(templates):
        text = maker.template()
        form = regex(text)
        for _ in range(topics):
            topic = maker.topic(text)
            yield text, topic, text in ("*", topic) or bool(form and form.fullmatch(topic)), form


class Selectors(unittest.TestCase):
    def program(self):
        for folder in (os.path.dirname(sluicetest.BIN), os.path.join(sluicetest.ROOT, "build/release")):
            path = os.path.join(folder, "tests/selectors")
            if os.access(path, os.X_OK):
                return path
        self.fail("the program selectors is not built beside %s" % sluicetest.BIN)

    def answers(self, cases):
        lines = "".join("%s %s\n" % (text.encode().hex(), topic.encode().hex()) for text, topic, _, _ in cases)
        done = subprocess.run([self.program()], input=lines.encode(), stdout=subprocess.PIPE, check=True, timeout=60)
        return [line == b"1" for line in done.stdout.split()]

    def compare(self, seed):
        cases = list(pairs(seed, 2500, 8))
        answers = self.answers(cases)
        self.assertEqual(len(answers), len(cases))
        wrong = [(text, topic, want) for (text, topic, want, _), got in zip(cases, answers) if got != want]
        self.assertEqual(wrong[:10], [], "seed %d: %d of %d" % (seed, len(wrong), len(cases)))
        matched = sum(want and form is not None for _, _, want, form in cases)
        valid = sum(form is not None for _, _, _, form in cases)
        return matched, valid - matched, len(cases) - valid

    def test_they_match_what_a_regular_expression_matches(self):
        for seed in (1, random.SystemRandom().randrange(1 << 32)):
            with self.subTest(seed=seed):
                counts = self.compare(seed)
                print("seed %d: %d matched, %d did not, %d were no template" % (seed, *counts))
                self.assertGreater(min(counts), 1000, "they no longer try all three")
