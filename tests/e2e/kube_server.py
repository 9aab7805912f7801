"""The part of Kubernetes that a Secret needs: an API server over TLS with a CA
of its own, tokens, roles, versions - and faults, on request."""
import base64
import copy
import http.server
import json
import os
import ssl
import subprocess
import threading

NAMESPACE = "apps"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"


def make_certificates(directory):
    """A CA and a leaf for 127.0.0.1; the paths of ca.crt, leaf.crt, leaf.key."""
    ca, ca_key, leaf, leaf_key, request = (
        os.path.join(directory, name)
        for name in ("ca.crt", "ca.key", "leaf.crt", "leaf.key", "leaf.csr"))
    extensions = os.path.join(directory, "leaf.ext")
    with open(extensions, "w", encoding="utf-8") as f:
        f.write("subjectAltName=IP:127.0.0.1,DNS:kubernetes.default.svc\n")

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-days",
            "2", "-subj", "/CN=cluster CA")
    openssl("req", *new_key, "-keyout", leaf_key, "-out", request, "-subj",
            "/CN=apiserver")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key,
            "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out",
            leaf)
    return ca, leaf, leaf_key


class Refusal(Exception):
    def __init__(self, code, reason, message):
        super().__init__(message)
        self.status = {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                       "message": message, "reason": reason, "code": code}


class KubeServer:
    """tokens: those that are accepted; allowed: the role's verbs; fail(verb,
    what, times): the next answers to that verb are a status of that number, or
    none ("drop": after the work was done)."""

    def __init__(self, directory):
        self.dir = str(directory)
        os.makedirs(self.dir, exist_ok=True)
        self.account = os.path.join(self.dir, "account")
        os.makedirs(self.account)
        ca, leaf, key = make_certificates(self.dir)
        self.lock = threading.RLock()
        self.secrets, self.version, self.events = {}, 0, {}
        self.tokens = {"token-1"}
        self.allowed = {"get", "update", "patch", "create"}
        self.allowed_events = set()
        self.faults, self.seen, self.bad_tokens = [], [], 0
        with open(ca, encoding="utf-8") as f:
            self.write_account("ca.crt", f.read())
        self.write_account("namespace", NAMESPACE)
        self.write_account("token", "token-1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf, key)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            server = None

            def log_message(self, *_args):
                pass

            def handle_any(self):
                outer.handle(self)
            do_GET = do_POST = do_PUT = do_PATCH = handle_any

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # who does not believe our certificate
        self.http = Server(("127.0.0.1", 0), Handler)
        self.http.socket = context.wrap_socket(self.http.socket,
                                               server_side=True,
                                               do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever,
                                       daemon=True)
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def write_account(self, name, text):
        path = os.path.join(self.account, name)
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(path + ".new", path)

    @property
    def env(self):
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1",
                "KUBERNETES_SERVICE_PORT_HTTPS": str(self.port),
                "TSNET_KUBE_ACCOUNT": self.account}

    def fail(self, verb, what, times=1):
        with self.lock:
            self.faults += [(verb, what)] * times

    def data(self, name):
        """The Secret's entries, decoded."""
        with self.lock:
            held = self.secrets.get(name, {}).get("data") or {}
            return {k: base64.b64decode(v) for k, v in held.items()}

    def put(self, name, **entries):
        """As kubectl, or an operator, does it; None deletes."""
        with self.lock:
            secret = self.secrets.setdefault(
                name, {"kind": "Secret", "apiVersion": "v1", "type": "Opaque",
                       "metadata": {"name": name, "namespace": NAMESPACE}})
            data = secret.setdefault("data", {})
            for key, value in entries.items():
                if value is None:
                    data.pop(key, None)
                else:
                    data[key] = base64.b64encode(value.encode()).decode()
            self.stamp(secret)
            return secret

    def stamp(self, secret):
        self.version += 1
        secret["metadata"]["resourceVersion"] = str(self.version)

    # -- requests ---------------------------------------------------------------

    def handle(self, request):
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        with self.lock:
            try:
                verb = self.verb_of(request)
                code, answer, fault = self.serve(request, verb, body)
            except Refusal as refusal:
                code, answer, fault = refusal.status["code"], refusal.status, 0
        if fault == "drop":
            request.close_connection = True
            request.connection.close()
            return
        text = json.dumps(answer).encode()
        request.send_response(code)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    @staticmethod
    def verb_of(request):
        if request.path == REVIEWS:
            return "review"
        return {"GET": "get", "PUT": "update", "PATCH": "patch",
                "POST": "create"}[request.command]

    def serve(self, request, verb, body):
        token = request.headers.get("Authorization", "")
        if token.removeprefix("Bearer ") not in self.tokens:
            self.bad_tokens += 1
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if request.path.startswith(EVENTS):
            return (*self.serve_event(request, verb, body), 0)
        self.seen.append(verb)
        fault = next((f for f in self.faults if f[0] == verb), None)
        if fault:
            self.faults.remove(fault)
            if fault[1] != "drop":
                raise Refusal(fault[1], "InternalError",
                              "etcdserver: leader changed")
        if verb == "review":
            asked = json.loads(body)["spec"]["resourceAttributes"]
            assert asked["namespace"] == NAMESPACE
            if asked["resource"] == "events":
                self.seen.pop()
                return 201, {"status": {
                    "allowed": asked["verb"] in self.allowed_events}}, 0
            return 201, {"status": {"allowed": asked["verb"] in self.allowed}}, 0
        if verb not in self.allowed:
            raise Refusal(403, "Forbidden", f"secrets is forbidden: User \"web\" "
                          f"cannot {verb} resource \"secrets\"")
        change = getattr(self, "do_" + verb)
        code, answer = change(request.path, body)
        return code, copy.deepcopy(answer), fault and fault[1]

    def serve_event(self, request, verb, body):
        if verb not in self.allowed_events:
            raise Refusal(403, "Forbidden", "events is forbidden")
        name = request.path.removeprefix(EVENTS + "/")
        if verb == "create":
            event = json.loads(body)
            name = event["metadata"]["name"]
            assert request.path == EVENTS and name not in self.events
            self.events[name] = event
            return 201, event
        if name not in self.events:
            raise Refusal(404, "NotFound", f"events \"{name}\" not found")
        for op in json.loads(body) if verb == "patch" else []:
            assert op["op"] == "replace"
            self.events[name][op["path"][1:]] = op["value"]
        return 200, self.events[name]

    def named(self, path):
        name = path.removeprefix(SECRETS + "/")
        if name not in self.secrets:
            raise Refusal(404, "NotFound", f"secrets \"{name}\" not found")
        return name

    def do_get(self, path, _body):
        return 200, self.secrets[self.named(path)]

    def do_create(self, path, body):
        assert path == SECRETS
        secret = json.loads(body)
        name = secret["metadata"]["name"]
        if name in self.secrets:
            raise Refusal(409, "AlreadyExists",
                          f"secrets \"{name}\" already exists")
        self.secrets[name] = secret
        self.stamp(secret)
        return 201, secret

    def conflict(self, name):
        raise Refusal(409, "Conflict", f"Operation cannot be fulfilled on "
                      f"secrets \"{name}\": the object has been modified")

    def do_update(self, path, body):
        name, secret = self.named(path), json.loads(body)
        old = self.secrets[name]["metadata"]["resourceVersion"]
        if secret["metadata"]["resourceVersion"] != old:
            self.conflict(name)
        self.secrets[name] = secret
        self.stamp(secret)
        return 200, secret

    def do_patch(self, path, body):
        name = self.named(path)
        secret = copy.deepcopy(self.secrets[name])
        change = json.loads(body)
        if isinstance(change, dict):  # a merge patch (RFC 7386)
            secret.setdefault("data", {}).update(change.pop("data"))
            assert not change
            change = []
        for op in change:
            *folders, last = op["path"].split("/")[1:]
            place = secret
            for folder in folders:
                if folder not in place:
                    raise Refusal(422, "Invalid", "the server rejected our "
                                  "request due to an error in our request")
                place = place[folder]
            if last == "resourceVersion" and place[last] != op["value"]:
                self.conflict(name)
            if op["op"] == "remove":
                del place[last]
            else:
                place[last] = op["value"]
        self.secrets[name] = secret
        self.stamp(secret)
        return 200, secret
