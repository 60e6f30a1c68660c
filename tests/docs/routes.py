"""Do the documents, openapi.yaml and the broker name the same routes and the same codes?"""
import json
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


def sources(root):
    for folder in ("http", "http/mercure"):
        for name in sorted(os.listdir(os.path.join(root, folder))):
            if name.endswith(".c"):
                yield read(root, os.path.join(folder, name))


def header_name(literal):
    """Of "TTL" or MHD_HTTP_HEADER_IF_MATCH, in lower case."""
    return literal.strip('"').replace("MHD_HTTP_HEADER_", "").replace("_", "-").lower()


# HTTP's own, which no operation describes.
PLAIN_HTTP = set("""accept content-type content-length transfer-encoding expect connection origin referer
    access-control-request-method access-control-request-headers cookie authorization""".split())
# Of clients of the years before 2021, and of HTTP/1.0.
OLD = {"expire", "pragma"}
# The hub takes the query apart itself; Pulsar's clients send one that is ignored.
UNSEEN = {"query topic", "query match", "query lastEventID", "query authoritative"}
LITERAL = r'("[^"]+"|MHD_HTTP_HEADER_[A-Z_]+)'


def source_parameters(root):
    """What the source asks a request's query and headers for, in so many words."""
    text = "\n".join(sources(root))
    query = re.findall(r'\b(?:request_query|topic_query_name|get)\(r, "(\w+)"', text)
    header = re.findall(r"\brequest_header\([\w>-]+, %s\)" % LITERAL, text)
    header += re.findall(r"strcasecmp\(name, %s\)" % LITERAL, text)
    return ({"query " + q for q in query} |
            {"header " + header_name(h) for h in header if header_name(h) not in PLAIN_HTTP})


def operations(spec):
    for item in spec["paths"].values():
        for method in METHODS:
            if method in item:
                yield item, item[method]


def spec_parameters(spec):
    found = list(spec["components"]["parameters"].values())
    for item, operation in operations(spec):
        found += item.get("parameters", []) + operation.get("parameters", [])
    return {"%s %s" % (p["in"], p["name"].lower() if p["in"] == "header" else p["name"])
            for p in found if "$ref" not in p and p["in"] in ("query", "header")}


def source_headers(root):
    text = "\n".join(sources(root))
    names = re.findall(r"\b(?:reply_header|add_text)\(r, %s" % LITERAL, text)
    return {header_name(n) for n in names} - PLAIN_HTTP - OLD


def spec_headers(spec):
    responses = list(spec["components"]["responses"].values())
    for _, operation in operations(spec):
        responses += operation["responses"].values()
    return {h.lower() for r in responses for h in r.get("headers", {})} | {
        h.lower() for h in spec["components"]["headers"]}


def source_statuses(root):
    """Of problems, and of the answers that the source gives by their names in the library."""
    names = {"CREATED": 201, "NO_CONTENT": 204, "PARTIAL_CONTENT": 206, "MULTI_STATUS": 207,
             "NOT_MODIFIED": 304, "PRECONDITION_FAILED": 412, "OK": 200}
    other = ("HEADER", "METHOD", "VERSION")
    text = "\n".join(sources(root))
    named = {n for n in re.findall(r"\bMHD_HTTP_([A-Z_]+)", text) if not n.startswith(other)}
    problems = set(re.findall(r"X\([A-Z_]+, (\d+),", read(root, "http/response.h")))
    # 405 is not an answer of any operation.
    return ({str(names.get(n, n)) for n in named} | problems) - {"405"}


def spec_statuses(spec):
    return {s for _, operation in operations(spec) for s in operation["responses"]} - {"default"}


def served_differs(address, spec):
    """/openapi.json is what a whole YAML parser reads in the file."""
    with urllib.request.urlopen("http://%s/openapi.json" % address, timeout=10) as answer:
        if json.load(answer) == spec:
            return None
    return "GET /openapi.json is another document"


def unused_parts(spec):
    """Components that nothing refers to; the headers are for all."""
    text = json.dumps(spec)
    return ", ".join("%s/%s" % (kind, name) for kind, parts in spec["components"].items()
                     if kind not in ("headers", "securitySchemes") for name in parts
                     if '"#/components/%s/%s"' % (kind, name) not in text) or None


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
    yield "openapi.yaml and the source have the same query parameters and headers", difference(
        "openapi.yaml", spec_parameters(spec), "the source", source_parameters(root) | UNSEEN)
    yield "openapi.yaml has the headers of all answers", difference(
        "openapi.yaml", spec_headers(spec) & source_headers(root), "the source", source_headers(root))
    yield "openapi.yaml and the source have the same statuses", difference(
        "openapi.yaml", spec_statuses(spec), "the source", source_statuses(root))
    yield "every part of openapi.yaml is used", unused_parts(spec)
    yield "the broker serves openapi.yaml as JSON", served_differs(address, spec)
    for path, item in spec["paths"].items():
        yield "openapi.yaml and the broker have the same verbs: " + path, methods_differ(
            address, path, item)
    for document in ("README.md", "http/API.md", "http/PULSAR.md", "http/MERCURE.md"):
        yield "the links of %s lead somewhere" % document, broken_links(root, document)
