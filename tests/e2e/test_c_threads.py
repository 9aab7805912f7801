"""tsnet.h and tailscale.h in programs of many threads, and that fork."""
import os
import subprocess

import pytest

from c_programs import build  # noqa: F401, pylint: disable=unused-import
from harness import CLEAN_ENV, PATIENCE, SANITIZERS, needs

pytestmark = needs("gcc")


# pylint: disable=redefined-outer-name
def check(program, tmp_path, *args):
    result = subprocess.run(
        [program, *args], capture_output=True, text=True, cwd=tmp_path,
        timeout=4 * PATIENCE, check=False, env=CLEAN_ENV)
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr
    return result.stderr


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_close_in_the_middle_of_everything(build, lab, tmp_path, seed):
    program = build("tests/e2e/apps/libtailscale_storm.c", "tailscale")
    said = check(program, tmp_path, lab.url, "key-alice", seed)
    assert int(said.split(" connections")[0].split("\n")[-1]) > 0


def test_what_an_exec_leaves_open(build, lab, tmp_path):
    check(build("tests/e2e/apps/api_forks.c"), tmp_path, lab.url, "key-alice",
          "exec")


@pytest.mark.skipif(SANITIZERS == "thread",
                    reason="it cannot follow forks of threads")
def test_children_with_servers_of_their_own(build, lab, tmp_path):
    check(build("tests/e2e/apps/api_forks.c"), tmp_path, lab.url, "key-alice",
          "children")


def test_servers_leave_nothing_behind(build, lab, tmp_path):
    print(check(build("tests/e2e/apps/api_cycles.c"), tmp_path, lab.url,
                "key-alice", os.environ.get("TURNS", "6")))
