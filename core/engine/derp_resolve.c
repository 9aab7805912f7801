/* SPDX-License-Identifier: BSD-3-Clause
 * derp_resolve.c - names of DERP nodes, for the path layer
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/engine/engine_internal.h"

struct derp_question {
	struct derp_question *next;
	struct ts_engine *engine;
	struct ts_resolve *query;
	char host[];
};

static void forget(struct derp_question *q)
{
	struct derp_question **at = &q->engine->derp_questions;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	free(q);
}

static void on_answer(void *ctx, const char *error, const struct ts_ip *ips,
		      size_t count)
{
	struct derp_question *q = ctx;
	struct ts_engine *engine = q->engine;

	if (error)
		log_debug("derp: %s: %s", q->host, error);
	ts_node_resolved(engine->node, q->host, ips, error ? 0 : count,
			 ts_loop_now_ms(engine->loop));
	forget(q);
}

void engine_derp_resolve(void *ctx, const char *host)
{
	struct ts_engine *engine = ctx;
	size_t len = strlen(host) + 1;
	struct derp_question *q = calloc(1, sizeof(*q) + len);

	if (!q)
		return;
	q->engine = engine;
	memcpy(q->host, host, len);
	q->next = engine->derp_questions;
	engine->derp_questions = q;
	q->query = ts_resolver_lookup(engine->resolver, host, on_answer, q);
	if (!q->query)
		forget(q);
}

void engine_derp_resolve_cancel(struct ts_engine *engine)
{
	while (engine->derp_questions) {
		ts_resolve_cancel(engine->derp_questions->query);
		forget(engine->derp_questions);
	}
}
