"""A node's state in a Kubernetes Secret, handed to and fro between us and
tailscaled. The API server is ours (tests/e2e/kube_server.py)."""
import json

import pytest

from conftest import PEER_ENV, PEERS, Daemon, tailscale
from harness import TSRUN, needs, wait_until
from kube_server import KubeServer

pytestmark = needs("openssl")

# tailscaled knows one place only for the service account.
ACCOUNT = """mount -t tmpfs none /var/run &&
mkdir -p /var/run/secrets/kubernetes.io &&
cp -r "$1" /var/run/secrets/kubernetes.io/serviceaccount && shift && exec "$@" """


@pytest.fixture
def kube(tmp_path):
    server = KubeServer(tmp_path / "kube")
    yield server
    server.close()


def self_of(status):
    own = json.loads(status)["Self"]
    return own["TailscaleIPs"][0], own["PublicKey"]


def with_ours(kube, ours, hostname):
    """A node of ours, to its end; who it was."""
    program = ours(hostname, "sh", "-c",
                   f'while ! "{TSRUN}" --json status >s.new || '
                   '! grep -q \'"Running"\' s.new; do sleep 0.1; done; '
                   "mv s.new status; sleep 60",
                   options=["--state", "kube:web"], env=kube.env)
    path = f"{program.dir}/status"

    def status():
        program.alive()
        try:
            with open(path, encoding="utf-8") as f:
                return f.read()
        except OSError:
            return None
    own = self_of(wait_until(status, "our node"))
    wait_until(lambda: "_current-profile" in kube.data("web"),
               "the profile in the Secret")
    program.stop()
    return own


def with_tailscaled(kube, keep, directory):
    socket = directory / "tailscaled.sock"
    directory.mkdir()
    env = {**PEER_ENV, **kube.env,
           "TS_KUBERNETES_READ_API_SERVER_ADDRESS_FROM_ENV": "true"}
    daemon = keep(Daemon(
        directory, "tailscaled", "unshare", "--mount", "--propagation",
        "private", "sh", "-c", ACCOUNT, "sh", kube.account,
        f"{PEERS}/tailscaled", "--tun=userspace-networking",
        "--state=kube:web", f"--statedir={directory}", f"--socket={socket}",
        "--port=0", env=env))

    def status():
        daemon.alive()
        result = tailscale(socket, "status", "--json")
        return '"Running"' in result.stdout and result.stdout
    own = self_of(wait_until(status, "tailscaled to be up by itself", 60))
    daemon.close()
    return own


def test_a_secret_goes_to_tailscaled_and_back(kube, control, ours, keep,
                                              tmp_path):
    """state in a Kubernetes Secret: ours, tailscaled's, ours again"""
    first = with_ours(kube, ours, "pod")
    machine_key = kube.data("web")["_machinekey"]
    assert with_tailscaled(kube, keep, tmp_path / "tsd") == first
    (tmp_path / "pod" / "status").unlink()
    assert with_ours(kube, ours, "pod") == first
    assert kube.data("web")["_machinekey"] == machine_key
