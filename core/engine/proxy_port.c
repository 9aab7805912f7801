/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_port.c - proxy_listen: a proxy for programs that were started elsewhere
 *
 * They have no environment of ours, so the password is in a file that only its
 * owner can read, beside the node's sockets, as long as the node is there. A
 * port that is taken is an error of the start: who set the option counts on it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/engine_internal.h"
#include "core/host/proxy.h"
#include "core/io/disk.h"

static const char *file_of(const struct ts_engine *engine,
			   char out[static ENGINE_PATH_CAP])
{
	snprintf(out, ENGINE_PATH_CAP, "%s/proxy.cred", engine->store.dir);
	return out;
}

static int write_file(const struct ts_engine *engine,
		      const struct ts_proxy_access *access)
{
	char path[ENGINE_PATH_CAP], at[TS_ADDR_TEXT_CAP], line[128];
	int code;

	snprintf(line, sizeof(line), "%s:%s@%s\n", access->user,
		 access->password, ts_addr_format(&access->at, at));
	code = ts_disk_write(file_of(engine, path), line, strlen(line), 0600);
	ts_wipe(line, sizeof(line));
	return code;
}

int engine_open_proxy_port(struct ts_engine *engine, char err[static 256])
{
	const struct ts_addr *where = &engine->config.proxy_listen;
	struct ts_proxy_access access;
	char at[TS_ADDR_TEXT_CAP];
	int code;

	if (where->port == 0)
		return 0;
	code = ts_proxy_open(engine->member, where, NULL, &access);
	if (!code)
		code = write_file(engine, &access);
	ts_wipe(&access, sizeof(access));
	if (code)
		snprintf(err, 256, "proxy_listen: %s: %s",
			 ts_addr_format(where, at), ts_strerror(code));
	engine->has_proxy_file = !code;
	return code;
}

void engine_close_proxy_port(struct ts_engine *engine)
{
	char path[ENGINE_PATH_CAP];

	if (engine->has_proxy_file)
		(void)unlink(file_of(engine, path));
	engine->has_proxy_file = false;
}
