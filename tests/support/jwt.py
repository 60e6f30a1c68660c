"""Tokens for the Mercure hub, signed with a secret.

    jwt.token(publish=["*"])                       a good one, for the key jwt.KEY
    jwt.token(subscribe=["a"], exp=time.time() + 5, payload={"name": "x"})
    jwt.sign({"mercure": {"publish": ["*"]}}, key="another", header={"alg": "HS512"})
"""
import base64
import hashlib
import hmac
import json

KEY = "!ChangeThisMercureHubJWTSecretKey!"
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims, key=KEY, header=None):
    """`claims` as an object, or as bytes that need not be JSON."""
    header = {"typ": "JWT", "alg": "HS256", **(header or {})}
    if not isinstance(claims, bytes):
        claims = json.dumps(claims).encode()
    signed = encode(json.dumps(header).encode()) + "." + encode(claims)
    digest = HASHES.get(header["alg"], hashlib.sha256)
    return signed + "." + encode(hmac.new(key.encode(), signed.encode(), digest).digest())


def token(publish=None, subscribe=None, payload=None, key=KEY, **claims):
    """Claims that are None are left out; further ones (exp, nbf) stand beside `mercure`."""
    mercure = {"publish": publish, "subscribe": subscribe, "payload": payload}
    mercure = {name: value for name, value in mercure.items() if value is not None}
    return sign({"mercure": mercure, **claims}, key)


def bearer(*args, **named):
    """The header of a request with such a token."""
    return {"Authorization": "Bearer " + token(*args, **named)}
