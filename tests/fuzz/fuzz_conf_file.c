/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_conf_file.c - tsnet.conf, and the same bytes as environment values
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/state/conf_file.h"

static int no_file(const char *path, char **out)
{
	(void)path;
	(void)out;
	return -ENOENT;
}

static void load(const struct ts_config_input *in)
{
	struct ts_config config;
	char err[256] = "";
	int code = ts_config_load(&config, in, err);

	if (code && !err[0])
		abort();
	if (!code && (!config.hostname || !config.hostname[0] ||
		      strlen(config.hostname) > 63 || !config.control_url))
		abort();
	ts_config_deinit(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char home[] = "HOME=/h";
	char entry[512];
	char *env[] = {home, NULL, NULL};
	size_t count;
	const struct ts_config_option *options = ts_config_options(&count);
	struct ts_config_input in = {
		.conf_text = (const char *)data,
		.conf_len = len,
		.env = env,
		.program = "prog",
		.read_file = no_file,
	};

	load(&in);
	in.conf_text = NULL;
	snprintf(entry, sizeof(entry), "%s=%.*s",
		 options[len ? data[0] % count : 0].env,
		 (int)(len ? len - 1 : 0), len ? (const char *)data + 1 : "");
	env[1] = entry;
	load(&in);
	return 0;
}
