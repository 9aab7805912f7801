"""The state directory: what can be wrong with it or its disk, what is then said,
and that nothing is lost."""
import base64
import json
import os
import stat
import subprocess

from harness import CLEAN_ENV, TSRUN, wait_until

# A disk of its own for a program's state, seen by nobody else.
SMALL_DISK = "mount -t tmpfs -o size=128k,mode=700 none state && "
FILLED = "{ dd if=/dev/zero of=state/filler bs=1k status=none 2>/dev/null; :; } && "
READ_ONLY = ("mount --bind state state && "
             "mount -o remount,ro,bind state && ")


def own_mounts(script):
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c",
            script + 'exec "$@"', "sh")


def state_path(program):
    return os.path.join(program.state, "tailscaled.state")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def entries(path):
    return {k: base64.b64decode(v)
            for k, v in json.loads(read(path)).items()}


def write_entries(path, values):
    text = {k: base64.b64encode(v).decode() for k, v in values.items()}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(text, f)


def make_state_dir(tmp_path, hostname):
    path = tmp_path / hostname / "state"
    path.mkdir(parents=True, mode=0o700, exist_ok=True)
    return path


def left_behind(run, hostname):
    """The state of a node that was up; the path of the file."""
    program = run(hostname, "sleep", "60").wait_running()
    program.stop()
    return state_path(program)


def change_key(lab, name):
    before = lab.node(name)["key"]
    lab.command(f"rekey {name}")
    wait_until(lambda: lab.node(name)["key"] != before, "a new node key")


def inside(program, name):
    """A file in the mounts of the program's node."""
    return f"/proc/{program.process.pid}/root{program.state}/{name}"


def status_inside(program):
    result = subprocess.run(
        [TSRUN, "--socket", inside(program, "tailscaled.sock"), "--json",
         "status"], env=CLEAN_ENV, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def test_a_full_disk_at_the_first_start_costs_no_login(lab, call, tmp_path):
    make_state_dir(tmp_path, "a")
    program = call("a", "true", wrap=own_mounts(SMALL_DISK + FILLED))
    assert program.code == 125
    assert "no space left" in program.err.lower(), program.err
    assert not lab.nodes()


def test_a_disk_that_fills_up_is_told_and_keeps_what_it_had(lab, run, tmp_path):
    make_state_dir(tmp_path, "a")
    program = run("a", "sleep", "60", wrap=own_mounts(SMALL_DISK))
    wait_until(lambda: lab.node("a") and lab.node("a")["online"], "the node")
    file = inside(program, "tailscaled.state")
    before = wait_until(lambda: os.path.exists(file) and b"profile-" in
                        entries(file).get("_current-profile", b"") and
                        read(file), "the profile in the file")
    with open(inside(program, "filler"), "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(1024))
        except OSError:
            pass
    change_key(lab, "a")
    wait_until(lambda: "make room there" in program.log, "the reason")
    health = status_inside(program)["Health"]
    assert any("make room there" in text for text in health), health
    assert read(file) == before
    assert not [n for n in os.listdir(inside(program, "")) if ".tmp" in n]
    os.unlink(inside(program, "filler"))
    wait_until(lambda: "kept again" in program.log, "the state to be kept")
    assert not any("make room" in text
                   for text in status_inside(program)["Health"] or [])
    assert read(file) != before
    assert b"profile-" in entries(file)["_current-profile"]


def test_a_node_in_a_read_only_directory_is_not_replaced(lab, run, call):
    path = left_behind(run, "a")
    before = read(path)
    program = call("a", "true", wrap=own_mounts(READ_ONLY))
    assert program.code == 125
    assert "has a node's state and is not writable" in program.err, program.err
    assert read(path) == before
    assert len(lab.nodes()) == 1


def test_a_read_only_directory_without_a_node_is_done_without(run, tmp_path):
    make_state_dir(tmp_path, "a")
    program = run("a", "sleep", "60", wrap=own_mounts(READ_ONLY))
    wait_until(lambda: "state stays in memory" in program.log, "the warning")
    wait_until(lambda: program.lab.node("a"), "the node")


def test_a_sealed_state_is_told_and_kept(run, call):
    path = left_behind(run, "a")
    sealed = b'{"key": {}, "nonce": "AAAA", "data": "AAAA"}'
    with open(path, "wb") as f:
        f.write(sealed)
    program = call("a", "true")
    assert program.code == 125
    assert "sealed by a TPM" in program.err, program.err
    assert read(path) == sealed


def test_entries_and_fields_of_a_newer_version_survive(lab, run):
    path = left_behind(run, "a")
    held = entries(path)
    key = held["_current-profile"].decode()
    prefs = json.loads(held[key])
    prefs["FromTheFuture"] = {"a": [1]}
    prefs["Config"]["AlsoNew"] = "x"
    profiles = json.loads(held["_profiles"])
    profiles[key.removeprefix("profile-")]["Colour"] = "blue"
    write_entries(path, {**held, key: json.dumps(prefs).encode(),
                         "_profiles": json.dumps(profiles).encode(),
                         "_newer": b"\x00\xff"})
    before = read(path)
    run("a", "sleep", "60", key=None).wait_running()
    change_key(lab, "a")
    wait_until(lambda: read(path) != before, "the file to be written")
    held = entries(path)
    assert held["_newer"] == b"\x00\xff"
    assert json.loads(held[key])["Config"]["AlsoNew"] == "x"
    assert json.loads(held["_profiles"])[
        key.removeprefix("profile-")]["Colour"] == "blue"


def test_a_file_that_others_could_read_is_told_and_closed(lab, run):
    path = left_behind(run, "a")
    os.chmod(path, 0o644)
    program = run("a", "sleep", "60").wait_running()
    assert "could be read by other users" in program.log
    change_key(lab, "a")
    wait_until(lambda: stat.S_IMODE(os.stat(path).st_mode) == 0o600,
               "the mode to be put right")


def test_a_directory_that_others_may_write_to_is_told(run, tmp_path):
    os.chmod(make_state_dir(tmp_path, "a"), 0o777)
    program = run("a", "sleep", "60").wait_running()
    assert "other users may write to" in program.log


def test_a_linked_file_stays_a_link(lab, run, tmp_path):
    path = left_behind(run, "a")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.rename(path, elsewhere / "the.state")
    os.symlink(elsewhere / "the.state", path)
    before = read(path)
    run("a", "sleep", "60", key=None).wait_running()
    change_key(lab, "a")
    wait_until(lambda: read(elsewhere / "the.state") != before, "the change")
    assert os.path.islink(path)


def test_a_link_to_nothing_is_told(lab, call, tmp_path):
    directory = make_state_dir(tmp_path, "a")
    os.symlink(tmp_path / "missing", directory / "tailscaled.state")
    program = call("a", "true")
    assert program.code == 125
    assert "link to nothing" in program.err, program.err
    assert not lab.nodes()


def test_a_linked_lock_is_not_taken(call, tmp_path):
    directory = make_state_dir(tmp_path, "a")
    os.symlink(tmp_path / "victim", directory / "tsnet.lock")
    program = call("a", "true")
    assert program.code == 125
    assert "tsnet.lock is a link" in program.err, program.err
    assert not (tmp_path / "victim").exists()


def test_what_a_killed_writer_left_goes(run, tmp_path):
    directory = make_state_dir(tmp_path, "a")
    litter = directory / "tailscaled.state.tmp0123abcd"
    litter.write_text('{"_machinekey": "cHJpdmtleTo="}')
    others = directory / "tailscaled.state.tmp"
    others.write_text("somebody's")
    run("a", "sleep", "60").wait_running()
    assert not litter.exists() and others.exists()


def test_a_directory_can_come_as_upstreams_container_has_it(lab, tmp_path):
    kept = tmp_path / "kept"
    for key in ({"TS_AUTHKEY": "key-alice"}, {}):
        subprocess.run([TSRUN, "--hostname", "web", "--control-url", lab.url,
                        "--wait", "true"], check=True, timeout=60,
                       env={**CLEAN_ENV, **key, "TS_STATE_DIR": str(kept)})
    assert (kept / "tailscaled.state").exists()
    assert len(lab.nodes()) == 1


def test_a_state_in_memory_leaves_no_trace(lab, run, tmp_path):
    home, runtime = tmp_path / "home", tmp_path / "rt"
    home.mkdir()
    runtime.mkdir()
    program = run("a", "sleep", "60", state=False,
                  options=["--state", "mem:"],
                  env={"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)})
    wait_until(lambda: lab.node("a") and lab.node("a")["online"], "the node")
    program.stop()
    assert not list(home.rglob("*")) and not list(runtime.rglob("*"))
    assert not lab.node("a")  # ephemeral: it has logged out
