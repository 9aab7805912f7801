/* SPDX-License-Identifier: BSD-3-Clause
 * config_load.c - this process's configuration
 */
#include "core/engine/config_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/io/disk.h"

enum { CONF_MAX = 1024 * 1024 };

static int read_text(const char *path, char **out)
{
	uint8_t *data = NULL;
	size_t len;
	int code = ts_disk_read(path, CONF_MAX, &data, &len);

	*out = (char *)data;
	return code;
}

static const char *conf_path(char *buf, size_t cap)
{
	const char *named = getenv("TSNET_CONF");
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");

	if (named && *named)
		return named;
	if (xdg && *xdg) {
		snprintf(buf, cap, "%s/tsnet/tsnet.conf", xdg);
		if (access(buf, F_OK) == 0)
			return buf;
	} else if (home && *home) {
		snprintf(buf, cap, "%s/.config/tsnet/tsnet.conf", home);
		if (access(buf, F_OK) == 0)
			return buf;
	}
	snprintf(buf, cap, "/etc/tsnet/tsnet.conf");
	return access(buf, F_OK) == 0 ? buf : NULL;
}

static int load(struct ts_config *out, char **env, bool is_alone,
		char err[static 256])
{
	char path_buf[512];
	const char *path = conf_path(path_buf, sizeof(path_buf));
	char *text = NULL;
	const char *named_program = getenv("TSNET_PROGRAM");
	struct ts_config_input in = {
		.env = env,
		.program = named_program && *named_program
				   ? named_program
				   : program_invocation_short_name,
		.read_file = read_text,
		.is_alone = is_alone,
	};
	int code = path ? read_text(path, &text) : 0;

	if (code) {
		snprintf(err, 256, "cannot read %.160s: %s", path,
			 ts_strerror(code));
		return code;
	}
	in.conf_text = text;
	in.conf_path = path;
	in.conf_len = text ? strlen(text) : 0;
	code = ts_config_load(out, &in, err);
	ts_wipe_free_text(text);
	return code;
}

int config_load_from_environment(struct ts_config *out, char err[static 256])
{
	return load(out, ts_environment(), false, err);
}

int config_load_alone(struct ts_config *out, char **env, char err[static 256])
{
	return load(out, env, true, err);
}
