"""tsnet.h: listeners of every kind, built and run."""
import subprocess

from c_programs import build  # noqa: F401, pylint: disable=unused-import
from harness import CLEAN_ENV, PATIENCE, needs

pytestmark = needs("gcc")


# pylint: disable=redefined-outer-name
def check(build, lab, tmp_path, what):
    result = subprocess.run(
        [build("tests/e2e/apps/api_listens.c"), lab.url, "key-alice", what],
        capture_output=True, text=True, cwd=tmp_path, timeout=4 * PATIENCE,
        check=False, env=CLEAN_ENV)
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr


def test_ports_that_nobody_listens_at(build, lab, tmp_path):
    check(build, lab, tmp_path, "fallback")


def test_udp_by_connections(build, lab, tmp_path):
    check(build, lab, tmp_path, "flows")


def test_wrong_arguments(build, lab, tmp_path):
    check(build, lab, tmp_path, "arguments")
