/* SPDX-License-Identifier: BSD-3-Clause
 * log_component.c - a part of the node shows more in the log, for a while
 * Source: ipn/ipnlocal/local.go (SetComponentDebugLogging)
 */
#include <errno.h>

#include "core/base/log.h"
#include "core/engine/engine_internal.h"

enum { SECS_MAX = 7 * 86400 };

static void show(struct ts_engine *engine, int component, uint64_t until_ms)
{
	engine->component_until_ms[component] = until_ms;
	log_component_show(component, until_ms != 0);
}

static void plan(struct ts_engine *engine)
{
	uint64_t next_ms = UINT64_MAX;

	for (int i = 0; i < LOG_COMPONENTS; i++) {
		uint64_t until_ms = engine->component_until_ms[i];

		if (until_ms && until_ms < next_ms)
			next_ms = until_ms;
	}
	ts_timer_set(engine->component_timer, next_ms);
}

static void on_timer(void *ctx)
{
	struct ts_engine *engine = ctx;
	uint64_t now_ms = ts_loop_now_ms(engine->loop);

	for (int i = 0; i < LOG_COMPONENTS; i++)
		if (engine->component_until_ms[i] &&
		    now_ms >= engine->component_until_ms[i])
			show(engine, i, 0);
	plan(engine);
}

int engine_log_component(void *ctx, const char *component, int64_t secs)
{
	struct ts_engine *engine = ctx;
	int found = log_component_find(component);
	uint64_t now_ms = ts_loop_now_ms(engine->loop);

	if (found < 0)
		return -ENOENT;
	if (!engine->component_timer)
		engine->component_timer =
			ts_timer_new(engine->loop, on_timer, engine);
	if (!engine->component_timer)
		return -ENOMEM;
	if (secs > SECS_MAX)
		secs = SECS_MAX;
	log_info("node-%s: the log shows %s %s of %s",
		 engine->config.hostname, secs > 0 ? "all" : "no more",
		 secs > 0 ? "for a while" : "than usual", component);
	show(engine, found, secs > 0 ? now_ms + (uint64_t)secs * 1000 : 0);
	plan(engine);
	return 0;
}

void engine_log_components_end(struct ts_engine *engine)
{
	for (int i = 0; i < LOG_COMPONENTS; i++)
		if (engine->component_until_ms[i])
			show(engine, i, 0);
	ts_timer_free(engine->component_timer);
	engine->component_timer = NULL;
}
