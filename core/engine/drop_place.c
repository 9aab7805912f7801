/* SPDX-License-Identifier: BSD-3-Clause
 * drop_place.c - where files that peers send go
 * Source: feature/taildrop/ext.go (fileRoot)
 *
 * The user's own directory (taildrop_dir), or one for each login in the state
 * directory, as tailscaled has it there. Without either nothing is received.
 */
#include "core/engine/drop_place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/engine/engine_internal.h"
#include "core/host/host.h"
#include "core/localapi/localapi.h"

static void on_changed(void *ctx)
{
	struct ts_engine *engine = ctx;

	if (engine->localapi)
		ts_localapi_files_changed(engine->localapi);
}

/* The login's name becomes part of a path. */
static char *dir_of_login(const struct ts_engine *engine)
{
	const struct ts_persist *who =
		&ts_node_prefs(engine->node)->persist;
	char *dir = NULL;
	size_t base;

	if (engine->config.state_in_memory || engine->config.kube_secret ||
	    !engine->config.state_dir || !who->login_name ||
	    !*who->login_name || who->user_id == 0)
		return NULL;
	base = strlen(engine->config.state_dir) + strlen("/files/");
	if (asprintf(&dir, "%s/files/%s-uid-%lld", engine->config.state_dir,
		     who->login_name, (long long)who->user_id) < 0)
		return NULL;
	for (char *at = dir + base; *at; at++)
		if (*at == '@' || *at == '/')
			*at = '-';
	return dir;
}

int engine_open_drop(struct ts_engine *engine)
{
	engine->drop_box = ts_drop_box_new(engine->loop, on_changed, engine);
	if (!engine->drop_box)
		return -ENOMEM;
	ts_host_set_drop_box(engine->member, engine->drop_box);
	engine_follow_login(engine);
	return 0;
}

void engine_follow_login(struct ts_engine *engine)
{
	const char *own = engine->config.taildrop_dir;
	bool is_own = own && *own;
	char *dir;

	if (!engine->drop_box || !engine->node)
		return;
	dir = is_own ? strdup(own) : dir_of_login(engine);
	if (ts_drop_box_set_dir(engine->drop_box, dir, is_own))
		log_warn("taildrop: no files are received: out of memory");
	free(dir);
}
