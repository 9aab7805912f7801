/* SPDX-License-Identifier: BSD-3-Clause
 * serve_store.c - the serve configuration as it was stored
 *
 * Read when a node begins: at start, and when another profile takes its place.
 * Later changes come through the LocalAPI, which stores them. What watchers had
 * asked for in the foreground is over, as they are.
 * Source: ipn/ipnlocal/serve.go (reloadServeConfigLocked)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/engine/engine_internal.h"
#include "core/engine/profile_store.h"
#include "core/node/node_serve.h"
#include "core/serve/serve_config.h"

enum { KEY_CAP = 160 };

static void take(struct ts_engine *engine, struct ts_node *node,
		 const char *key)
{
	char err[TS_SERVE_ERROR_CAP];
	json_t *stored = NULL, *config;
	size_t len = 0;
	const uint8_t *text = ts_state_get(engine->store.state, key, &len);

	if (!text || len == 0)
		return;
	if (ts_serve_parse((const char *)text, len, &stored, err)) {
		log_error("node-%s: invalid serve config \"%s\" in the state: "
			  "nothing is served: %s", engine->config.hostname,
			  key, err);
		return;
	}
	if (!stored)
		return;
	config = ts_serve_without_session(stored, NULL);
	json_decref(stored);
	if (config)
		ts_node_set_serve(node, config, ts_loop_now_ms(engine->loop));
	else
		log_error("node-%s: nothing is served: out of memory",
			  engine->config.hostname);
}

void engine_load_serve(struct ts_engine *engine, struct ts_node *node)
{
	json_t *profile = profile_store_current(engine);
	const char *id = json_string_value(json_object_get(profile, "ID"));
	char key[KEY_CAP];

	if (id && *id && strlen(id) < KEY_CAP - sizeof("_serve/")) {
		snprintf(key, sizeof(key), "_serve/%s", id);
		take(engine, node, key);
	}
	json_decref(profile);
}
