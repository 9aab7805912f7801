"""A scripted CA that speaks ACME (RFC 8555, 9773) over TLS.

Signatures, nonces and URLs are checked as the RFC wants it; a dns-01 challenge
is valid when the lab's control server has been given the right TXT record, a
tls-alpn-01 challenge when `look`, a function(name) of the test, brings back (the
protocol, the certificate) with the right digest in it. A
test changes what is answered by `script`: step -> function(server) that returns
(status, headers, body) or None for the usual answer. What was asked is kept in
`seen` as (step, payload)."""
import base64
import hashlib
import http.server
import json
import os
import ssl
import subprocess
import threading
import time

# acmeIdentifier, critical, an octet string of 32 bytes in another (RFC 8737).
ACME_IDENTIFIER = bytes.fromhex("06082b0601050507011f0101ff04220420")
PROBLEM = "urn:ietf:params:acme:error:"
# SubjectPublicKeyInfo of a P-256 key, up to its coordinates.
SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def openssl(*args, data=None, check=True):
    return subprocess.run(["openssl", *args], input=data, check=check,
                          capture_output=True)


def der_integer(data):
    data = data.lstrip(b"\0") or b"\0"
    if data[0] & 0x80:
        data = b"\0" + data
    return b"\x02" + bytes([len(data)]) + data


def thumbprint(jwk):
    members = {k: jwk[k] for k in ("crv", "kty", "x", "y")}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(text.encode()).digest())


class Problem(Exception):
    def __init__(self, status, kind, detail):
        super().__init__(detail)
        self.status = status
        self.body = {"type": PROBLEM + kind, "detail": detail,
                     "status": status}


class AcmeServer:
    def __init__(self, directory, lab):
        os.makedirs(directory)
        self.dir, self.lab = str(directory), lab
        self.script, self.seen = {}, []
        self.accounts, self.orders, self.nonces = {}, [], set()
        self.window = None  # (start, end) of ARI, seconds since 1970
        self.look = None    # tls-alpn-01 is offered where there is one
        self.polls = 0      # an order is pending for so many looks
        self.lock = threading.Lock()
        self.make_ca()
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.httpd.acme = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("server.pem"),
                                self.path("server.key"))
        self.httpd.socket = context.wrap_socket(self.httpd.socket,
                                                server_side=True)
        self.base = f"https://localhost:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever,
                         daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()

    def path(self, name):
        return os.path.join(self.dir, name)

    @property
    def ca(self):
        """The root of what it issues, and of its own certificate."""
        return self.path("ca.pem")

    @property
    def env(self):
        """For the node."""
        return {"TS_DEBUG_ACME_DIRECTORY_URL": self.base + "/dir",
                "SSL_CERT_FILE": self.ca}

    # -- the CA --------------------------------------------------------------

    def new_key(self, name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-out", self.path(name))

    def make_ca(self):
        self.new_key("ca.key")
        openssl("req", "-x509", "-key", self.path("ca.key"), "-out",
                self.path("ca.pem"), "-days", "30", "-subj",
                "/CN=scripted ACME root", "-addext",
                "keyUsage=critical,keyCertSign")
        self.new_key("server.key")
        openssl("req", "-new", "-key", self.path("server.key"), "-out",
                self.path("server.csr"), "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost")
        self.sign("server.csr", "server.pem")

    def sign(self, csr, out, days=30):
        config = self.path("ext")
        with open(config, "w", encoding="utf-8") as f:
            f.write("authorityKeyIdentifier=keyid\n")
        openssl("x509", "-req", "-in", self.path(csr), "-CA", self.ca,
                "-CAkey", self.path("ca.key"), "-copy_extensions", "copyall",
                "-extfile", config, "-days", str(days), "-out",
                self.path(out))

    def issue(self, order, csr):
        with open(self.path("leaf.der"), "wb") as f:
            f.write(csr)
        text = openssl("req", "-inform", "DER", "-in", self.path("leaf.der"),
                       "-noout", "-verify", "-text").stdout.decode()
        names = {n.strip().removeprefix("DNS:") for line in text.splitlines()
                 if "DNS:" in line for n in line.split(",")}
        if names != set(order["names"]):
            raise Problem(400, "badCSR", f"names are {sorted(names)}")
        openssl("req", "-inform", "DER", "-in", self.path("leaf.der"), "-out",
                self.path("leaf.csr"))
        self.sign("leaf.csr", "leaf.pem")
        with open(self.path("leaf.pem"), encoding="ascii") as leaf, \
                open(self.ca, encoding="ascii") as ca:
            order["chain"] = leaf.read() + ca.read()

    # -- what is answered ------------------------------------------------------

    def directory(self):
        urls = {name: self.base + path for name, path in (
            ("newNonce", "/nonce"), ("newAccount", "/account"),
            ("newOrder", "/order"), ("renewalInfo", "/ari"))}
        return 200, {}, {**urls, "meta": {"termsOfService": "https://tos"}}

    def account(self, jwk, payload):
        key = thumbprint(jwk)
        known = key in self.accounts
        if not known and not payload.get("termsOfServiceAgreed"):
            raise Problem(403, "userActionRequired", "agree to the terms")
        kid = f"{self.base}/account/{key}"
        self.accounts[key] = jwk
        return (200 if known else 201), {"Location": kid}, {"status": "valid"}

    def new_order(self, key, payload):
        names = [i["value"] for i in payload["identifiers"]]
        order = {"names": names, "key": key, "status": "pending",
                 "authz": {n: "pending" for n in names}, "polls": 0,
                 "looked": False,
                 "replaces": payload.get("replaces")}
        self.orders.append(order)
        n = len(self.orders) - 1
        return 201, {"Location": f"{self.base}/order/{n}"}, self.show(n)

    def show(self, n):
        order = self.orders[n]
        if order["status"] == "pending" and all(
                s == "valid" for s in order["authz"].values()):
            order["polls"] += 1
            if order["polls"] > self.polls:
                order["status"] = "ready"
        if "invalid" in order["authz"].values():
            order["status"] = "invalid"
        body = {"status": order["status"], "finalize":
                f"{self.base}/finalize/{n}", "identifiers": [
                    {"type": "dns", "value": v} for v in order["names"]],
                "authorizations": [f"{self.base}/authz/{n}/{i}"
                                   for i in range(len(order["names"]))]}
        if order["status"] == "valid":
            body["certificate"] = f"{self.base}/cert/{n}"
        return body

    def show_authz(self, n, i):
        order = self.orders[n]
        name = order["names"][i]
        challenge = {"type": "dns-01", "url": f"{self.base}/chall/{n}/{i}",
                     "token": f"token-{n}-{i}", "status": "pending"}
        by_tls = {"type": "tls-alpn-01", "url": f"{self.base}/look/{n}/{i}",
                  "token": f"look-{n}-{i}", "status": "pending"}
        if order["authz"][name] == "invalid":
            (by_tls if order["looked"] else challenge).update(
                status="invalid", error={"type": PROBLEM + "unauthorized",
                                         "detail": order["detail"]})
        return {"status": order["authz"][name], "identifier": {
            "type": "dns", "value": name.removeprefix("*.")},
            "wildcard": name.startswith("*."),
            "challenges": [{"type": "http-01", "url": "https://elsewhere/",
                            "token": "x", "status": "pending"}, challenge,
                           *([by_tls] if self.look else [])]}

    def challenge(self, n, i):
        """Looks for the record, as a CA would ask the DNS."""
        order = self.orders[n]
        name = order["names"][i]
        answer = f"token-{n}-{i}.{order['key']}".encode()
        want = b64(hashlib.sha256(answer).digest())
        where = "_acme-challenge." + name.removeprefix("*.")
        records = self.lab.command("txt-records")["records"]
        found = [r["Value"] for r in records if r["Name"] == where]
        order["authz"][name] = "valid" if want in found else "invalid"
        order["detail"] = f"no record at {where}"
        return 200, {}, {"status": "processing"}

    def look_at(self, n, i):
        """Calls at the name, as a CA does."""
        order = self.orders[n]
        name = order["names"][i]
        answer = f"look-{n}-{i}.{order['key']}".encode()
        want = ACME_IDENTIFIER + hashlib.sha256(answer).digest()
        order["looked"] = True
        protocol, certificate = self.look(name)
        order["authz"][name] = "valid" if protocol == "acme-tls/1" and \
            want in certificate else "invalid"
        order["detail"] = f"no proof is shown by {name}"
        return 200, {}, {"status": "processing"}

    def serve(self, step, jwk, key, payload, rest):
        if step == "account" and not rest:
            return self.account(jwk, payload)
        if step == "order" and not rest:
            return self.new_order(key, payload)
        n = int(rest[0])
        if self.orders[n]["key"] != key:
            raise Problem(403, "unauthorized", "somebody else's order")
        if step == "order":
            return 200, {"Retry-After": "1"}, self.show(n)
        if step == "authz":
            return 200, {}, self.show_authz(n, int(rest[1]))
        if step == "chall":
            return self.challenge(n, int(rest[1]))
        if step == "look":
            return self.look_at(n, int(rest[1]))
        if step == "finalize":
            if self.orders[n]["status"] != "ready":
                raise Problem(403, "orderNotReady", "not yet")
            self.issue(self.orders[n], unb64(payload["csr"]))
            self.orders[n]["status"] = "valid"
            return 200, {}, self.show(n)
        if step == "cert":
            return 200, {"Content-Type": "application/pem-certificate-chain"},\
                self.orders[n]["chain"]
        raise Problem(404, "malformed", step)

    # -- who asks ----------------------------------------------------------------

    def check_signature(self, body, jwk):
        raw = unb64(body["signature"])
        if len(raw) != 64:
            raise Problem(400, "malformed", "ES256 has 64 bytes")
        numbers = der_integer(raw[:32]) + der_integer(raw[32:])
        files = {"pub.der": SPKI + unb64(jwk["x"]) + unb64(jwk["y"]),
                 "sig": b"\x30" + bytes([len(numbers)]) + numbers}
        for name, data in files.items():
            with open(self.path(name), "wb") as f:
                f.write(data)
        openssl("pkey", "-pubin", "-inform", "DER", "-in",
                self.path("pub.der"), "-out", self.path("pub.pem"))
        signed = f"{body['protected']}.{body['payload']}".encode()
        if openssl("dgst", "-sha256", "-verify", self.path("pub.pem"),
                   "-signature", self.path("sig"), data=signed,
                   check=False).returncode:
            raise Problem(403, "malformed", "bad signature")

    def authenticate(self, path, body):
        """(jwk, thumbprint, payload)"""
        header = json.loads(unb64(body["protected"]))
        if header["alg"] != "ES256" or header["url"] != self.base + path:
            raise Problem(400, "malformed", f"header {header}")
        if header["nonce"] not in self.nonces:
            raise Problem(400, "badNonce", "unknown nonce")
        self.nonces.discard(header["nonce"])
        if path == "/account":
            jwk = header["jwk"]
        elif header.get("kid", "").split("/")[-1] in self.accounts:
            jwk = self.accounts[header["kid"].split("/")[-1]]
        else:
            raise Problem(400, "accountDoesNotExist", "no such account")
        self.check_signature(body, jwk)
        payload = unb64(body["payload"])
        return jwk, thumbprint(jwk), json.loads(payload) if payload else None

    def new_nonce(self):
        nonce = b64(os.urandom(16))
        self.nonces.add(nonce)
        return nonce

    def answer(self, method, path, data):
        step, *rest = path.strip("/").split("/")
        with self.lock:
            scripted = self.script.get(step)
            try:
                if method == "POST":
                    jwk, key, payload = self.authenticate(path,
                                                          json.loads(data))
                    self.seen.append((step, payload))
                else:
                    self.seen.append((step, None))
                usual = scripted(self) if scripted else None
                if usual:
                    return usual
                if step == "dir":
                    return self.directory()
                if step == "nonce":
                    return 200, {}, ""
                if step == "ari":
                    return self.ari()
                return self.serve(step, jwk, key, payload, rest)
            except Problem as problem:
                return problem.status, {}, problem.body

    def ari(self):
        if not self.window:
            raise Problem(404, "malformed", "no window")
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))
                      for t in self.window)
        return 200, {"Retry-After": "3600"}, {
            "suggestedWindow": {"start": start, "end": end}}

    def steps(self):
        return [step for step, _ in self.seen]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def go(self):
        acme = self.server.acme
        length = int(self.headers.get("Content-Length") or 0)
        status, headers, body = acme.answer(self.command, self.path,
                                            self.rfile.read(length))
        if not isinstance(body, str):
            headers = {"Content-Type": "application/problem+json"
                       if status >= 400 else "application/json", **headers}
            body = json.dumps(body)
        data = body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Replay-Nonce" not in headers:
            self.send_header("Replay-Nonce", acme.new_nonce())
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_HEAD = go
