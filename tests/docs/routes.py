"""Do the documents, openapi.yaml and the broker name the same routes and the same codes?"""
import os
import re
import urllib.error
import urllib.request

import yaml

METHODS = ("get", "put", "post", "patch", "delete")


def read(root, path):
    with open(os.path.join(root, path)) as f:
        return f.read()


def difference(a_name, a, b_name, b):
    """None when both hold the same, else what only one of them has."""
    said = []
    if a - b:
        said.append("only %s has %s" % (a_name, ", ".join(sorted(a - b))))
    if b - a:
        said.append("only %s has %s" % (b_name, ", ".join(sorted(b - a))))
    if not a and not b:
        said.append("neither has any")
    return "; ".join(said) or None


def spec_routes(spec):
    return {"%s %s" % (m.upper(), path) for path, item in spec["paths"].items()
            for m in item if m in METHODS}


def document_routes(text):
    """Headings such as: ### Create: `PUT /v1/topics/{topic}`"""
    return set(re.findall(r"^#+ .*`((?:GET|PUT|POST|PATCH|DELETE) /[^`]*)`", text, re.M))


def broken_refs(spec):
    def walk(node):
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for v in node.values():
                yield from walk(v)
        elif isinstance(node, list):
            for v in node:
                yield from walk(v)

    bad = []
    for ref in walk(spec):
        at = spec
        for part in ref.lstrip("#/").split("/"):
            at = at.get(part) if isinstance(at, dict) else None
        if at is None:
            bad.append(ref)
    return ", ".join(sorted(set(bad))) or None


def status_and_allow(method, url):
    request = urllib.request.Request(url, method=method, data=b"" if method != "GET" else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as e:
        return e.code, e.headers.get("Allow", "")


def methods_differ(address, path, item):
    """The broker's Allow for a verb that the route does not have names those that it has."""
    wanted = {m.upper() for m in item if m in METHODS}
    other = next(m.upper() for m in METHODS if m.upper() not in wanted)
    url = "http://%s%s" % (address, path.replace("{topic}", "t").replace("{offset}", "0")
                                .replace("{subscription}", "s"))
    status, allow = status_and_allow(other, url)
    if status != 405:
        return "%s %s answered %d, not 405" % (other, path, status)
    allowed = {m.strip() for m in allow.split(",")} - {"HEAD", "OPTIONS", ""}
    return difference("openapi.yaml", wanted, "the broker's Allow", allowed)


def document_codes(text):
    """First column of the table under `| code |`."""
    table = re.search(r"^\| code .*\n\|[-| ]*\n((?:\|.*\n)*)", text, re.M)
    return set(re.findall(r"^\| `([a-z_]+)`", table.group(1), re.M)) if table else set()


def source_codes(root):
    """Rows X(ID, 404, false, "code", "Title") of the one table of problems."""
    return set(re.findall(r'X\([A-Z_]+, \d+, \w+, "([a-z_]+)"', read(root, "http/response.h")))


def shape(path):
    """The path with its parameters' names left out."""
    return re.sub(r"\{\w+\}", "{}", path)


def source_routes(root):
    """Rows { "POST", "/v1/topics/{t}/messages", "batch", ... } of the router's table."""
    rows = re.findall(r'\{\s*"([A-Z]+)",\s*"(/[^"]*)",\s*(?:NULL|"(\w+)")',
                      read(root, "http/routes.c"))
    return {"%s %s" % (method, shape(path) + (verb and ":" + verb)) for method, path, verb in rows}


def broken_links(root, path):
    """Relative links of a document that lead nowhere."""
    folder = os.path.dirname(os.path.join(root, path))
    links = re.findall(r"\]\(([^)#:]+)\)", read(root, path))
    return ", ".join(l for l in links if not os.path.exists(os.path.join(folder, l))) or None


def checks(root, address):
    """Yields (what is checked, None or why it does not hold)."""
    api = read(root, "http/API.md")
    spec = yaml.safe_load(read(root, "http/openapi.yaml"))
    codes = set(spec["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    yield "openapi.yaml and the documents have the same routes", difference(
        "openapi.yaml", spec_routes(spec), "the documents",
        document_routes(api) | document_routes(read(root, "http/PULSAR.md")) |
        document_routes(read(root, "http/MERCURE.md")))
    yield "openapi.yaml's references lead somewhere", broken_refs(spec)
    yield "openapi.yaml and API.md have the same codes", difference(
        "openapi.yaml", codes, "API.md", document_codes(api))
    yield "openapi.yaml and the source have the same codes", difference(
        "openapi.yaml", codes, "http/response.h", source_codes(root))
    yield "openapi.yaml and the router have the same routes", difference(
        "openapi.yaml", {shape(r) for r in spec_routes(spec)}, "http/routes.c", source_routes(root))
    for path, item in spec["paths"].items():
        yield "openapi.yaml and the broker have the same verbs: " + path, methods_differ(
            address, path, item)
    for document in ("README.md", "http/API.md", "http/PULSAR.md", "http/MERCURE.md"):
        yield "the links of %s lead somewhere" % document, broken_links(root, document)
