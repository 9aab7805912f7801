"""Certificates of several nodes of one program: each has its own."""
import os
import signal
import subprocess

import pytest

from acme_server import AcmeServer
from harness import CLEAN_ENV, PATIENCE, TSRUN, needs, stop, wait_until

pytestmark = needs("curl", "openssl")

NODE = """[node "{name}"]
control_url = {lab.url}
auth_key = key-alice
state_dir = {dir}/{name}
acme_directory = {acme.base}/dir
listen_tls = {ports}

"""
SERVERS = """
python3 -u -m http.server 8443 &
exec python3 -u -m http.server 8444
"""


class Tailnet:
    def __init__(self, name, lab, directory):
        self.name, self.lab = name, lab
        self.acme = AcmeServer(directory / f"ca-{name}", lab)

    @property
    def domain(self):
        return f"{self.name}.{self.name}.example"


@pytest.fixture
def tailnets(make_lab, tmp_path):
    made = [Tailnet(name, make_lab("--domain", f"{name}.example"), tmp_path)
            for name in ("front", "back")]
    yield made
    for tailnet in made:
        tailnet.acme.close()


@pytest.fixture
def servers(tailnets, tmp_path):
    """8443 is behind TLS in the first alone, 8444 in both."""
    conf = tmp_path / "tsnet.conf"
    conf.write_text("".join(
        NODE.format(name=t.name, lab=t.lab, dir=tmp_path, acme=t.acme,
                    ports=ports)
        for t, ports in zip(tailnets, ("8443, 8444", "8444"))))
    roots = tmp_path / "roots.pem"
    roots.write_text("".join(open(t.acme.ca, encoding="ascii").read()
                             for t in tailnets))
    with open(tmp_path / "err", "w", encoding="utf-8") as err:
        process = subprocess.Popen(
            [TSRUN, *(f"--node={t.name}" for t in tailnets), "--wait", "--",
             "sh", "-c", SERVERS], stdout=err, stderr=err, cwd=tmp_path,
            start_new_session=True,
            env=dict(CLEAN_ENV, TSNET_CONF=str(conf),
                     SSL_CERT_FILE=str(roots)))
    wait_until(lambda: (tmp_path / "err").read_text().count("Serving") == 2,
               "the servers")
    yield process
    os.killpg(process.pid, signal.SIGTERM)
    stop(process)


def test_each_has_its_own(tailnets, servers, run, tmp_path):
    front, back = tailnets
    assert servers.poll() is None
    # Before any client.
    for t in tailnets:
        wait_until(lambda a=t.acme: "cert" in a.steps(), "a certificate")
        wait_until(lambda n=t.name: os.path.isdir(tmp_path / n / "certs") and
                   len(os.listdir(tmp_path / n / "certs")) == 3, "its files")
        assert t.acme.orders[0]["names"] == [t.domain]

    def ask(tailnet, url, *options):
        client = run(f"client-{tailnet.name}", "curl", "-sS", "-o", "page",
                     "-w", "%{http_code}", "--cacert", tailnet.acme.ca,
                     *options, url, lab=tailnet.lab)
        client.wait(2 * PATIENCE)
        return client.out[-3:]  # of the last, as they share a file
    assert ask(front, f"https://{front.domain}:8443/") == "200"
    assert ask(front, f"https://{front.domain}:8444/") == "200"
    assert ask(back, f"https://{back.domain}:8444/") == "200"
    ip = back.lab.node(back.name)["ips"][0]
    assert ask(back, f"http://{ip}:8443/") == "200"
    # The other's name is not shown here.
    assert ask(back, f"https://{front.domain}:8444/", "--resolve",
               f"{front.domain}:8444:{ip}") == "000"
    assert [len(t.acme.orders) for t in tailnets] == [1, 1]
