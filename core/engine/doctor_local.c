/* SPDX-License-Identifier: BSD-3-Clause
 * doctor_local.c - is this machine fit for a node? state, names, programs
 */
#include "core/engine/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/notify_exec.h"
#include "core/engine/preload_check.h"
#include "core/host/resolv_conf.h"
#include "core/io/disk.h"
#include "core/state/state_file.h"

enum { STATE_MAX = 16 * 1024 * 1024, PATH_CAP = 1024, ROOM_MIN = 1024 * 1024 };

/* -- state ---------------------------------------------------------------- */
/* The directory, or the nearest one above it that there is. */
static void nearest_dir(const char *dir, char out[static PATH_CAP])
{
	snprintf(out, PATH_CAP, "%s", dir);
	while (access(out, F_OK) != 0) {
		char *slash = strrchr(out, '/');

		if (!slash || slash == out) {
			snprintf(out, PATH_CAP, "%s", slash ? "/" : ".");
			return;
		}
		*slash = '\0';
	}
}

static bool has_room(const char *dir)
{
	struct statvfs vfs;

	return statvfs(dir, &vfs) != 0 ||
	       (uint64_t)vfs.f_bavail * vfs.f_frsize >= ROOM_MIN;
}

static const char state_advice[] = "repair it, or move it away: the node then "
				   "joins anew";

static void check_state_file(struct doctor *d, const char *dir)
{
	char path[PATH_CAP], err[128] = "";
	struct ts_state *state;
	uint8_t *data = NULL;
	size_t len = 0;
	int code;

	snprintf(path, sizeof(path), "%.900s/tailscaled.state", dir);
	code = ts_disk_read(path, STATE_MAX, &data, &len);
	if (code == -ENOENT) {
		doctor_say(d, "state", DOCTOR_OK, NULL,
			   "%.200s: no node has its keys there yet", dir);
		return;
	}
	if (code) {
		doctor_say(d, "state", DOCTOR_FAILED,
			   "whose file is it? see state_dir in tsnet.conf(5)",
			   "cannot read %.200s: %s", path, ts_strerror(code));
		return;
	}
	state = ts_state_new();
	code = state ? ts_state_parse(state, data, len, err) : -ENOMEM;
	ts_state_free(state);
	ts_wipe(data, len);
	free(data);
	if (code)
		doctor_say(d, "state", DOCTOR_FAILED, state_advice,
			   "%.200s: %s", path, err);
	else
		doctor_say(d, "state", DOCTOR_OK, NULL,
			   "%.200s: a node's keys are there", dir);
}

static void check_mode(struct doctor *d, const char *dir)
{
	struct stat st;

	if (stat(dir, &st) == 0 && st.st_mode & 077)
		doctor_say(d, "state", DOCTOR_WARNING,
			   "chmod 700: whoever reads it can become this node",
			   "%.200s can be entered by other users (mode %o)",
			   dir, st.st_mode & 0777);
}

void doctor_check_state(struct doctor *d)
{
	const char *dir = d->config.state_dir;
	char there[PATH_CAP];

	if (d->config.state_in_memory || !dir) {
		doctor_say(d, "state", DOCTOR_OK, NULL,
			   "in memory: the node is new at each start");
		return;
	}
	nearest_dir(dir, there);
	if (access(there, W_OK | X_OK) != 0) {
		doctor_say(d, "state", DOCTOR_FAILED,
			   "name another one with --state, or keep nothing: "
			   "--ephemeral",
			   "%.200s cannot be written: %s", dir,
			   ts_strerror(-errno));
		return;
	}
	if (!has_room(there)) {
		doctor_say(d, "state", DOCTOR_FAILED,
			   "free some, or name another directory with --state",
			   "no room left for %.200s", dir);
		return;
	}
	if (strcmp(there, dir) == 0)
		check_mode(d, dir);
	check_state_file(d, dir);
}

/* -- names ---------------------------------------------------------------- */
void doctor_check_names(struct doctor *d)
{
	struct ts_resolv_conf conf = {.path = "/etc/resolv.conf"};
	char first[TS_ADDR_TEXT_CAP];

	ts_resolv_conf_refresh(&conf);
	if (access(conf.path, R_OK) != 0) {
		doctor_say(d, "names", DOCTOR_WARNING,
			   "write one, unless names are not needed: the "
			   "control server's is looked up by it",
			   "%s cannot be read; 127.0.0.1 is asked", conf.path);
		return;
	}
	doctor_say(d, "names", DOCTOR_OK, NULL,
		   "%zu name server%s, the first is %s", conf.count,
		   conf.count == 1 ? "" : "s",
		   ts_addr_format(&conf.servers[0].addr, first));
}

/* -- programs ------------------------------------------------------------- */
static void shim_path(char out[static PATH_CAP])
{
	const char *named = getenv("TSNET_SHIM_LIBRARY");
	ssize_t len = readlink("/proc/self/exe", out, PATH_CAP - 32);
	char *slash;

	if (named && *named) {
		snprintf(out, PATH_CAP, "%s", named);
		return;
	}
	out[len > 0 ? len : 0] = '\0';
	slash = strrchr(out, '/');
	strcpy(slash ? slash + 1 : out, "libtsnet_shim.so");
}

static void check_program(struct doctor *d)
{
	char err[256] = "";
	int code = preload_check(d->program, err);

	if (code == 0)
		doctor_say(d, "program", DOCTOR_OK, NULL,
			   "%s can be preloaded", d->program);
	else if (code == -ENOTSUP && notify_exec_probe() == 0)
		doctor_say(d, "program", DOCTOR_OK, NULL,
			   "%s; it is served by seccomp notifications", err);
	else
		doctor_say(d, "program", DOCTOR_FAILED,
			   code == -ENOENT ? "check its name and PATH"
					   : "tsrun --proxy offers it a proxy",
			   "%s", err);
}

void doctor_check_preload(struct doctor *d)
{
	char path[PATH_CAP];

	shim_path(path);
	if (access(path, R_OK) != 0)
		doctor_say(d, "preload", DOCTOR_FAILED,
			   "install it again, whole",
			   "%.200s cannot be read: %s", path,
			   ts_strerror(-errno));
	else
		doctor_say(d, "preload", DOCTOR_OK, NULL, "%.200s", path);
	if (d->program)
		check_program(d);
}

void doctor_check_seccomp(struct doctor *d)
{
	struct utsname uts = {0};
	int code = notify_exec_probe();

	uname(&uts);
	if (code)
		doctor_say(d, "seccomp", DOCTOR_WARNING,
			   "Linux 5.14 and a container profile that allows "
			   "seccomp are needed; else use tsrun --proxy for "
			   "such programs",
			   "static and Go programs cannot be served: %s "
			   "(Linux %.60s)", ts_strerror(code), uts.release);
	else
		doctor_say(d, "seccomp", DOCTOR_OK, NULL,
			   "static and Go programs can be served (Linux %.60s)",
			   uts.release);
}
