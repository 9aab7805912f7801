"""Every way to log in, against the lab and a scripted API server over TLS; and
what becomes of a login: expiry, new keys, approval."""
import base64
import json
import os
import re
import shutil
import subprocess

import pytest

from auth_server import (AWS_SECRET, CLIENT_SECRET, EXCHANGE, KEYS, TOKEN,
                         AuthServer, GoogleMetadata, InstanceMetadata,
                         TaskCredentials)
from harness import SANITIZERS, wait_until
from test_localapi import ask

TAGGED = ["--advertise-tags", "tag:web"]
SHOW = ["sh", "-c", "env; exec sleep 60"]
IMAGE_SCALE = 8


@pytest.fixture
def api(tmp_path, lab):
    directory = tmp_path / "api"
    directory.mkdir()
    server = AuthServer(str(directory), lab)
    yield server
    server.close()


@pytest.fixture
def login(api, run):
    """login(env={}, options=[]): node "a" that trusts the API server."""
    def start(*argv, env=None, options=(), **kwargs):
        environment = {"SSL_CERT_FILE": api.cert, **(env or {})}
        return run("a", *(argv or SHOW), key=None, env=environment,
                   options=[*TAGGED, *options], **kwargs)
    return start


def secret_for(api, attributes="&ephemeral=false&preauthorized=true"):
    return f"{CLIENT_SECRET}?baseURL={api.url}{attributes}"


def is_secret_kept(program, *secrets):
    for secret in secrets:
        for text in (program.log, program.err, program.out):
            assert secret not in text
        for name in ("cmdline", "environ"):
            with open(f"/proc/{program.process.pid}/{name}", "rb") as f:
                assert secret.encode() not in f.read()


def user_of(lab, name="a"):
    return lab.node(name)["user"]


# -- auth keys -----------------------------------------------------------------

def test_the_order_of_auth_keys(lab, run):
    """TS_AUTHKEY before TS_AUTH_KEY; the option before both."""
    env = {"TS_AUTHKEY": "key-alice", "TS_AUTH_KEY": "key-bob"}
    run("a", *SHOW, key=None, env=env).wait_running()
    assert user_of(lab) == "alice@example.com"
    run("b", *SHOW, key=None, env={"TS_AUTH_KEY": "key-bob"}).wait_running()
    assert user_of(lab, "b") == "bob@example.com"
    run("c", *SHOW, key=None, env=env,
        options=["--authkey", "key-bob"]).wait_running()
    assert user_of(lab, "c") == "bob@example.com"


def test_an_auth_key_before_a_client_secret(lab, run):
    run("a", *SHOW, key="key-alice",
        env={"TS_CLIENT_SECRET": "tskey-client-unused",
             "TS_CLIENT_ID": "unused"}).wait_running()
    assert user_of(lab) == "alice@example.com"


def test_an_auth_key_from_a_file(lab, run, tmp_path):
    path = tmp_path / "key"
    path.write_text("  key-bob \nnot this line\n")
    run("a", *SHOW, key=None,
        env={"TS_AUTHKEY": f"file:{path}"}).wait_running()
    assert user_of(lab) == "bob@example.com"


def test_an_auth_key_from_a_variable(lab, run):
    program = run("a", *SHOW, key=None, options=["--authkey", "env:MY_KEY"],
                  env={"MY_KEY": "key-bob"}).wait_running()
    assert user_of(lab) == "bob@example.com"
    assert "key-bob" not in program.out


def test_an_auth_key_from_a_variable_that_a_file_names(lab, run, tmp_path):
    conf = tmp_path / "tsnet.conf"
    conf.write_text("[node \"sh\"]\nauth_key = env:MY_KEY\n")
    program = run("a", *SHOW, key=None,
                  env={"TSNET_CONF": str(conf), "MY_KEY": "key-bob"})
    program.wait_running()
    assert user_of(lab) == "bob@example.com"
    wait_until(lambda: "PATH=" in program.out, "the program's environment")
    is_secret_kept(program, "key-bob")


def test_a_file_that_is_not_there(call, tmp_path):
    program = call("a", "true", key=None,
                   env={"TS_CLIENT_SECRET": f"file:{tmp_path}/none"})
    assert program.code == 125
    assert "TS_CLIENT_SECRET: client_secret: cannot read" in program.err


# -- an OAuth client -------------------------------------------------------------

def test_a_client_secret(api, lab, login):
    program = login(env={"TS_CLIENT_SECRET": secret_for(api)})
    program.wait_running()
    assert lab.node("a")["tags"] == ["tag:web"]
    assert not lab.node("a")["ephemeral"]
    assert api.keys == [{"reusable": False, "ephemeral": False,
                         "preauthorized": True, "tags": ["tag:web"]}]
    assert [r.path for r in api.requests] == [TOKEN, KEYS]
    wait_until(lambda: "PATH=" in program.out, "the program's environment")
    assert "TS_CLIENT_SECRET" not in program.out
    is_secret_kept(program, CLIENT_SECRET, "tskey-auth-made1",
                   "access-token-1")


def test_a_client_secret_from_a_file_as_auth_key(api, lab, login, tmp_path):
    path = tmp_path / "secret"
    path.write_text(secret_for(api) + "\n")
    login(options=["--authkey", f"file:{path}"]).wait_running()
    assert lab.node("a")["tags"] == ["tag:web"]


def test_a_client_secret_by_option(api, lab, login):
    program = login(env={"MINE": secret_for(api, "&preauthorized=1")},
                    options=["--client-secret", "env:MINE"]).wait_running()
    assert lab.node("a")["ephemeral"]  # the default
    assert CLIENT_SECRET not in program.out


def test_a_known_node_makes_no_key(api, lab, login):
    """The OAuth server need not be there when the node starts again."""
    env = {"TS_CLIENT_SECRET": secret_for(api)}
    login(env=env).wait_running().stop()
    key = lab.node("a")["key"]
    api.close()
    login(env=env).wait_running()
    assert lab.node("a")["key"] == key and len(api.keys) == 1


def test_a_wrong_client_secret(api, login):
    program = login(
        "true", options=["--wait"],
        env={"TS_CLIENT_SECRET": f"tskey-client-bad?baseURL={api.url}"})
    assert program.wait() == 125
    assert "error resolving auth key: http 401: API token invalid" in \
        program.err
    assert "check client_secret" in program.err
    assert "tskey-client" not in program.err + program.log
    # By Basic and by the form, then not again for minutes.
    assert [bool(r.basic) for r in api.asked(TOKEN)] == [True, False]


def test_a_client_that_may_not_make_keys(api, login):
    api.refuse[KEYS] = (403, {"message": "tags [tag:web] are not permitted"})
    program = login("true", options=["--wait"],
                    env={"TS_CLIENT_SECRET": secret_for(api)})
    assert program.wait() == 125
    assert "http 403: tags [tag:web] are not permitted" in program.err
    assert "may this client make auth keys with these tags?" in program.err


def test_an_unreachable_oauth_server(api, lab, login, tmp_path):
    """It is tried again, and the node comes up by itself."""
    secret = secret_for(api)
    api.close()
    program = login(env={"TS_CLIENT_SECRET": secret})
    wait_until(lambda: "/api/v2/oauth/token cannot be reached" in program.log,
               "the reason in the log")
    assert program.status()["BackendState"] == "Starting"
    directory = tmp_path / "again"
    directory.mkdir()
    shutil.copy(api.cert, directory / "old.pem")
    again = AuthServer(str(directory), lab, api.port)
    with open(api.cert, "a", encoding="utf-8") as bundle, \
            open(again.cert, encoding="utf-8") as f:
        bundle.write(f.read())
    program.wait_running()
    again.close()


def test_an_untrusted_oauth_server(api, run):
    """Without its certificate, no secret is sent."""
    program = run("a", *SHOW, key=None, options=TAGGED,
                  env={"TS_CLIENT_SECRET": secret_for(api)})
    wait_until(lambda: "cannot be reached" in program.log and
               "certificate" in program.log, "the reason in the log")
    assert not api.requests


def test_a_redirected_client_secret(api, login):
    api.refuse[TOKEN] = (307, "", "Location: https://localhost:1/steal")
    program = login("true", options=["--wait"],
                    env={"TS_CLIENT_SECRET": secret_for(api)})
    assert program.wait() == 125
    assert "http 307" in program.err


def test_hostile_answers(api, login):
    api.refuse[TOKEN] = (200, '{"access_token":"a\\r\\nX-Evil: b"}')
    program = login("true", options=["--wait"],
                    env={"TS_CLIENT_SECRET": secret_for(api)})
    assert program.wait() == 125
    assert "has no access_token" in program.err


def test_an_endless_answer(api, login):
    api.refuse[TOKEN] = (200, b"x" * 1000000)
    program = login("true", options=["--wait=2"],
                    env={"TS_CLIENT_SECRET": secret_for(api)})
    assert program.wait() == 125
    assert "the answer is too long" in program.err


@pytest.mark.parametrize("env, tags, words", [
    ({"TS_CLIENT_SECRET": "tskey-client-x"}, False,
     "oauth authkeys require --advertise-tags"),
    ({"TS_CLIENT_SECRET": "tskey-client-x?a=b"}, True,
     'unknown attribute "a"'),
    ({"TS_CLIENT_ID": "x"}, True,
     "but ID token and audience are empty"),
    ({"TS_CLIENT_ID": "x", "TS_ID_TOKEN": "y", "TS_AUDIENCE": "z"}, True,
     "only one of ID token and audience"),
    ({"TS_ID_TOKEN": "y"}, True, "but client ID is empty"),
    ({"TS_AUDIENCE": "y"}, True, "but client ID is empty"),
    ({"TS_CLIENT_ID": "x", "TS_AUDIENCE": "y"}, False,
     "federated identity authkeys require --advertise-tags"),
])
def test_settings_that_cannot_work(call, env, tags, words):
    program = call("a", "true", key=None, env=env,
                   options=TAGGED if tags else [])
    assert program.code == 125
    assert "error resolving auth key: " in program.err
    assert words in program.err


# -- identity tokens -------------------------------------------------------------

def federated(**env):
    return {"TS_CLIENT_ID": "client-1?preauthorized=true", **env}


def by_control(api):
    """Keys are made where the control server is: both are one here."""
    return ["--control-url", api.url]


def test_an_identity_token(api, lab, login, tmp_path):
    path = tmp_path / "token"
    path.write_text("given.id.token\n")
    program = login(env=federated(TS_ID_TOKEN=f"file:{path}"),
                    options=by_control(api)).wait_running()
    assert lab.node("a")["tags"] == ["tag:web"]
    assert not lab.node("a")["ephemeral"]  # named no other attribute
    assert api.asked(EXCHANGE)[0].form["client_id"] == "client-1"
    is_secret_kept(program, "given.id.token")


def test_a_wrong_identity_token(api, login):
    program = login("true", options=[*by_control(api), "--wait"],
                    env=federated(TS_ID_TOKEN="another.id.token"))
    assert program.wait() == 125
    assert "http 403: identity token does not match" in program.err
    assert "another.id.token" not in program.err + program.log


def test_a_token_of_github_actions(api, lab, login):
    login(options=by_control(api), env=federated(
        TS_AUDIENCE="au/d",
        ACTIONS_ID_TOKEN_REQUEST_URL=f"{api.url}/github?v=2",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN="github-token")).wait_running()
    assert api.asked("/github")[0].query == "v=2&audience=au%2Fd"
    assert lab.node("a")["tags"] == ["tag:web"]


def test_a_refused_token_of_github_actions(api, login):
    program = login("true", options=[*by_control(api), "--wait"],
                    env=federated(
        TS_AUDIENCE="au/d",
        ACTIONS_ID_TOKEN_REQUEST_URL=f"{api.url}/github",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN="stale-token"))
    assert program.wait() == 125
    assert "github oidc token endpoint returned http 401: no" in program.err
    assert "stale-token" not in program.err + program.log


def test_a_token_of_google_cloud(api, lab, login, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost metadata.google.internal\n")
    api.identities.add("google.au/d")
    server = GoogleMetadata()
    script = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    login(wrap=("unshare", "--mount", "sh", "-c", script, "sh"),
          options=by_control(api),
          env=federated(TS_AUDIENCE="au/d")).wait_running()
    server.close()
    assert lab.node("a")["tags"] == ["tag:web"]


def test_a_token_of_aws(api, lab, login):
    """An EC2 instance; STS checks the signature."""
    subprocess.run(["ip", "addr", "add", "169.254.169.254/32", "dev", "lo"],
                   check=True)
    server = InstanceMetadata()
    program = login(options=by_control(api), env=federated(
        TS_AUDIENCE="au/d", AWS_ENDPOINT_URL_STS=api.url))
    program.wait_running()
    server.close()
    assert lab.node("a")["tags"] == ["tag:web"]
    is_secret_kept(program, AWS_SECRET)


def in_ecs(api, **env):
    return federated(
        TS_AUDIENCE="au/d", AWS_ENDPOINT_URL=api.url, AWS_REGION="us-east-1",
        ECS_CONTAINER_METADATA_URI_V4="http://169.254.170.2/v4/1", **env)


def test_a_token_of_aws_for_a_task(api, lab, login):
    """ECS: credentials from the container's service."""
    subprocess.run(["ip", "addr", "add", "169.254.170.2/32", "dev", "lo"],
                   check=True)
    server = TaskCredentials()
    login(options=by_control(api), env=in_ecs(
        api, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/1")
          ).wait_running()
    server.close()
    assert lab.node("a")["tags"] == ["tag:web"]


def test_a_token_of_aws_for_a_pod(api, lab, login, tmp_path):
    """EKS: a web identity assumes its role."""
    path = tmp_path / "token"
    path.write_text("pod.jwt")
    login(options=by_control(api), env=in_ecs(
        api, AWS_WEB_IDENTITY_TOKEN_FILE=str(path),
        AWS_ROLE_ARN="arn:aws:iam::1:role/r")).wait_running()
    assert lab.node("a")["tags"] == ["tag:web"]


PROFILES = """
[default]
region = eu-west-1
[profile work] # with another's keys
region = us-east-1
role_arn = arn:aws:iam::1:role/{role}
source_profile = keys
[profile person]
sso_session = home
"""


def by_profile(api, tmp_path, name, role="r"):
    config, keys = tmp_path / "config", tmp_path / "credentials"
    config.write_text(PROFILES.format(role=role))
    keys.write_text("[keys]\naws_access_key_id = AKIDEXAMPLE\n"
                    f"aws_secret_access_key = {AWS_SECRET}\n")
    return federated(
        TS_AUDIENCE="au/d", AWS_ENDPOINT_URL=api.url, AWS_PROFILE=name,
        AWS_CONFIG_FILE=str(config), AWS_SHARED_CREDENTIALS_FILE=str(keys),
        ECS_CONTAINER_METADATA_URI_V4="http://169.254.170.2/v4/1")


def test_a_token_of_aws_by_profile(api, lab, login, tmp_path):
    program = login(options=by_control(api),
                    env=by_profile(api, tmp_path, "work"))
    program.wait_running()
    assert lab.node("a")["tags"] == ["tag:web"]
    assert [r.form["Action"] for r in api.asked("/")] == [
        "AssumeRole", "GetWebIdentityToken"]
    assert api.asked("/")[1].headers["x-amz-security-token"] == "session"
    is_secret_kept(program, AWS_SECRET)


@pytest.mark.parametrize("name, role, words", [
    ("work", "s", "aws sts:AssumeRole failed: http 403: AccessDenied: "
     "not your role"),
    ("person", "r", "AWS profile person: single sign-on (sso_session) is not "
     "supported"),
    ("nobody", "r", "failed to get shared config profile, nobody")])
def test_a_profile_of_aws_that_is_of_no_use(api, login, tmp_path, name, role,
                                            words):
    program = login("true", options=[*by_control(api), "--wait=5"],
                    env=by_profile(api, tmp_path, name, role))
    assert program.wait() == 125
    assert words in program.err
    assert AWS_SECRET not in program.err + program.log


def test_a_refused_pod(api, login, tmp_path):
    path = tmp_path / "token"
    path.write_text("another.jwt")
    program = login("true", options=[*by_control(api), "--wait"], env=in_ecs(
        api, AWS_WEB_IDENTITY_TOKEN_FILE=str(path),
        AWS_ROLE_ARN="arn:aws:iam::1:role/r"))
    assert program.wait() == 125
    assert ("AssumeRoleWithWebIdentity failed: http 400: "
            "InvalidIdentityToken: no such pod") in program.err


def test_nowhere(api, login):
    program = login("true", options=[*by_control(api), "--wait=5"],
                    env=federated(TS_AUDIENCE="au/d"))
    assert program.wait() == 125
    assert "could not detect environment" in program.err


# -- inside a program --------------------------------------------------------------

@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
def test_a_client_secret_inside_a_program(api, lab, login):
    login("python3", "-c", "import time, socket\n"
          "s = socket.create_server(('0.0.0.0', 0))\ntime.sleep(60)",
          options=["--in-process"],
          env={"TS_CLIENT_SECRET": secret_for(api)}).wait_running()
    assert lab.node("a")["tags"] == ["tag:web"]


# -- what becomes of a login -----------------------------------------------------

def test_an_expired_key_is_replaced_by_a_new_login(api, lab, login):
    """A key that was made is good for one login: another one is made."""
    program = login(env={"TS_CLIENT_SECRET": secret_for(api)}).wait_running()
    before = lab.node("a")
    lab.command("expire a")
    wait_until(lambda: lab.node("a")["key"] != before["key"], "a new node key")
    program.wait_running()
    assert lab.node("a")["ips"] == before["ips"] and len(api.keys) == 2
    assert "node key has expired" in program.log


def test_an_expired_key_without_an_auth_key(make_lab, run):
    """A person is asked for; the old key goes on when it lives longer."""
    lab = make_lab("--interactive")
    program = run("a", "sleep", "60", key=None, lab=lab)
    wait_until(lambda: lab.command("pending")["logins"], "the first login")
    lab.command("approve all")
    program.wait_running()
    key = lab.node("a")["key"]
    lab.command("expire a")
    wait_until(lambda: lab.command("pending")["logins"], "the second login")
    wait_until(lambda: program.status().get("BackendState") == "NeedsLogin",
               "the state")
    url = lab.command("pending")["logins"][0]["url"]
    wait_until(lambda: program.status().get("AuthURL") == url, "the address")
    assert program.log.count("visit " + url) == 1
    lab.command("unexpire a")
    program.wait_running()
    assert lab.node("a")["key"] == key
    lab.command("expire a")
    wait_until(lambda: [p for p in lab.command("pending")["logins"]
                        if p["waits"]], "the third login")
    lab.command("approve all")
    wait_until(lambda: lab.node("a")["key"] != key, "the new key")
    program.wait_running()


def test_a_key_that_is_about_to_expire(make_lab, run):
    """A day before, whoever has to log in again is told."""
    lab = make_lab("--interactive")
    program = run("a", "sleep", "60", key=None, lab=lab)
    wait_until(lambda: lab.command("pending")["logins"], "the login")
    lab.command("approve all")
    program.wait_running()
    lab.command("expire a 90000")  # 25 hours
    wait_until(lambda: program.status()["Self"].get("KeyExpiry"), "the news")
    assert "runs out" not in program.log
    lab.command("expire a 80000")
    wait_until(lambda: "somebody has to log this node in again" in
               program.log, "the notice")
    assert program.log.count("the node key runs out at") == 1
    keyed = run("b", "sleep", "60", lab=lab).wait_running()
    lab.command("expire b 80000")
    wait_until(lambda: "the node will log in again" in keyed.log, "the notice")
    lines = [x for x in keyed.log.splitlines() if "runs out" in x]
    assert len(lines) == 1 and " info " in lines[0]


def test_an_expired_key_with_an_auth_key_for_one_login(make_lab, run):
    """The auth key is of no use any more: a person is asked for."""
    lab = make_lab("--authkey", "key-once,once")
    program = run("a", "sleep", "60", key="key-once", lab=lab).wait_running()
    key = lab.node("a")["key"]
    lab.command("expire a")
    wait_until(lambda: "auth key already used" in program.log and
               "visit http" in program.log, "the reason, and the address")
    wait_until(lambda: [p for p in lab.command("pending")["logins"]
                        if p["waits"]], "the login")
    lab.command("approve all")
    wait_until(lambda: lab.node("a")["key"] != key, "the new key")
    program.wait_running()


def test_keys_are_not_made_without_end(api, lab, login):
    """A tailnet that lets every key expire at once."""
    program = login(env={"TS_CLIENT_SECRET": secret_for(api)}).wait_running()
    for count in range(2, 5):
        lab.command("expire a")
        wait_until(lambda: len(api.keys) == count, "another key")
        program.wait_running()
    lab.command("expire a")
    wait_until(lambda: "auth keys were made within an hour" in program.log,
               "the limit")
    assert len(api.keys) == 4


ECHO = """
import socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
socketserver.ThreadingTCPServer(("0.0.0.0", 7000), Handler).serve_forever()
"""
TALK = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 7000)) as s, s.makefile() as f:
    s.settimeout(60)
    for n in range(100000):
        s.sendall(b"%d\\n" % n)
        assert f.readline() == f"{n}\\n"
        print(n, flush=True)
        time.sleep(0.02)
"""


def said(program):
    """How far a talk is."""
    return len(program.out.splitlines())


def goes_on(program):
    before = said(program)
    wait_until(lambda: program.alive() and said(program) > before + 3,
               "the talk to go on")


def test_a_new_login_while_connections_are_open(lab, run):
    """What runs goes on under the present key, and then under the new one."""
    server = run("server", "python3", "-c", ECHO).wait_running()
    server.wait_listening(7000)
    program = run("a", "python3", "-c", TALK, server.ip).wait_running()
    goes_on(program)
    before = lab.node("a")
    assert ask(program, "POST", "login-interactive")[0] == 204
    wait_until(lambda: [p for p in lab.command("pending")["logins"]
                        if p["waits"]], "the login")
    assert program.status()["BackendState"] == "Running"
    assert program.status()["AuthURL"] == \
        lab.command("pending")["logins"][0]["url"]
    goes_on(program)
    assert lab.node("a")["key"] == before["key"]
    lab.command("approve all alice@example.com")
    wait_until(lambda: lab.node("a")["key"] != before["key"], "the new key")
    goes_on(program)
    program.wait_running()
    assert lab.node("a")["ips"] == before["ips"]
    assert not program.status().get("AuthURL")


def test_a_turned_down_login_while_connections_are_open(lab, run):
    server = run("server", "python3", "-c", ECHO).wait_running()
    server.wait_listening(7000)
    program = run("a", "python3", "-c", TALK, server.ip).wait_running()
    before = lab.node("a")
    assert ask(program, "POST", "login-interactive")[0] == 204
    wait_until(lambda: [p for p in lab.command("pending")["logins"]
                        if p["waits"]], "the login")
    lab.command("deny all")
    wait_until(lambda: "login was turned down" in program.log, "the reason")
    goes_on(program)
    assert program.status()["BackendState"] == "Running"
    assert lab.node("a")["key"] == before["key"]


def test_a_logout_leaves_nothing_and_a_login_begins_anew(lab, run):
    server = run("server", "python3", "-c", ECHO).wait_running()
    program = run("a", "sleep", "60").wait_running()
    before = lab.node("a")
    assert ask(program, "POST", "logout")[0] == 204
    status = program.status()
    assert status["BackendState"] == "NeedsLogin"
    assert not status.get("Peer") and not status.get("TailscaleIPs")
    path = os.path.join(program.state, "tailscaled.state")
    with open(path, encoding="utf-8") as f:
        stored = json.load(f)
    for value in stored.values():
        profile = base64.b64decode(value).decode()
        assert not re.search(r'PrivateNodeKey":\s*"privkey:0*[1-9a-f]',
                             profile)
    assert server.cli("ping", "-c", "1", before["ips"][0],
                      check=False).returncode
    program.stop()
    run("a", "sleep", "60").wait_running()
    assert lab.node("a")["key"] != before["key"]


def test_force_login_makes_a_new_key(lab, run):
    run("a", *SHOW).wait_running().stop()
    before = lab.node("a")
    program = run("a", *SHOW).wait_running()
    assert lab.node("a")["key"] == before["key"]
    assert "TSNET_FORCE_LOGIN=1 uses it now" in program.log
    program.stop()
    run("a", *SHOW, env={"TSNET_FORCE_LOGIN": "1"}).wait_running()
    after = lab.node("a")
    assert after["key"] != before["key"]
    assert after["ips"] == before["ips"] and len(lab.nodes()) == 1


def test_force_login_changes_the_user(lab, run):
    run("a", *SHOW).wait_running().stop()
    run("a", *SHOW, key="key-bob",
        env={"TSNET_FORCE_LOGIN": "1"}).wait_running()
    assert "bob@example.com" in [n["user"] for n in lab.nodes()]


def test_a_new_node_waits_for_approval(make_lab, run, call):
    lab = make_lab("--authkey", "key-wait,unapproved")
    program = run("a", "sleep", "60", key="key-wait", lab=lab,
                  options=["--log-level", "off"])
    wait_until(lambda: "approve this node" in program.err, "what to do")
    assert f"{lab.url}/admin" in program.err
    assert program.status()["BackendState"] == "NeedsMachineAuth"
    late = call("b", "true", key="key-wait", lab=lab, options=["--wait=1"])
    assert late.code == 125
    assert "(NeedsMachineAuth): an admin of the tailnet has to approve" in \
        late.err
    lab.command("authorize a on")
    program.wait_running()


# -- the login page as a picture -------------------------------------------------

def qr_lines(text):
    """The lines of the code, whichever letters it is drawn with."""
    return [line for line in text.splitlines()
            if re.fullmatch("[#█▀▄ ]{50,}|[█▀▄ ]{29,}", line)]


def modules(lines):
    """Rows of booleans, light is True."""
    if "#" in "".join(lines):
        return [[line[i] == "#" for i in range(0, len(line), 2)]
                for line in lines]
    rows = []
    for line in lines:
        rows.append([c in "█▀" for c in line])
        rows.append([c in "█▄" for c in line])
    return rows[:len(rows[0])]


@pytest.mark.parametrize("lang", ["C", "C.UTF-8"])
def test_a_qr_code(make_lab, run, lang, tmp_path):
    lab = make_lab("--interactive")
    program = run("a", "sleep", "60", key=None, lab=lab, options=["--qr"],
                  env={"LC_ALL": lang})
    wait_until(lambda: len(qr_lines(program.err)) >= 15, "the code")
    wait_until(lambda: lab.command("pending")["logins"], "the login")
    grid = modules(qr_lines(program.err))
    size = len(grid)
    assert all(len(row) == size for row in grid) and size % 4 == 1
    # Two corners, seen from the margin of four.
    for x in (4, size - 11):
        assert [grid[4][x + i] for i in range(7)] == [False] * 7
        assert [grid[5][x + i] for i in range(7)] == \
            [False, True, True, True, True, True, False]
    if shutil.which("zbarimg"):
        url = lab.command("pending")["logins"][0]["url"]
        assert read_code(grid, tmp_path / "code.pgm") == url


def read_code(grid, path):
    """By a stock reader."""
    size = len(grid) * IMAGE_SCALE
    pixels = b"".join(
        bytes(255 if light else 0 for light in row
              for _ in range(IMAGE_SCALE)) * IMAGE_SCALE for row in grid)
    path.write_bytes(b"P5 %d %d 255\n" % (size, size) + pixels)
    return subprocess.run(["zbarimg", "--quiet", "--raw", str(path)],
                          check=True, capture_output=True,
                          text=True).stdout.strip()


@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
def test_a_qr_code_inside_a_program(make_lab, run):
    """Into the log: the terminal is the program's."""
    lab = make_lab("--interactive")
    program = run("a", "python3", "-c", "import time, socket\n"
                  "s = socket.create_server(('0.0.0.0', 0))\ntime.sleep(60)",
                  key=None, lab=lab, options=["--qr", "--in-process"],
                  env={"LC_ALL": "C"})
    wait_until(lambda: len(re.findall("(?m) ((?:##|  ){29,})$",
                                      program.log)) >= 29, "the code")
    assert not qr_lines(program.err)


def test_no_qr_code_unless_asked_for(make_lab, run):
    lab = make_lab("--interactive")
    program = run("a", "sleep", "60", key=None, lab=lab)
    wait_until(lambda: "visit http" in program.log, "the address")
    assert not qr_lines(program.err)
