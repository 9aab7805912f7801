/* SPDX-License-Identifier: BSD-3-Clause
 * derp_latency.c - how far is a DERP node, by HTTPS
 *
 * For networks that block UDP. TLS first, then GET /derp/latency-check: what
 * counts is the time from the request to the first bytes of the answer, which
 * is one round trip. A connection each, gone when it has answered.
 * Source: net/netcheck/netcheck.go (measureHTTPSLatency)
 */
#include <stdlib.h>
#include <string.h>

#include "core/engine/engine_internal.h"

enum { LATENCY_DIAL_MS = 3000 };

struct derp_probe {
	struct derp_probe *next;
	struct ts_engine *engine;
	int region;
	struct ts_link *link;
	uint64_t sent_us;
};

static void forget(struct derp_probe *probe)
{
	struct derp_probe **at = &probe->engine->derp_probes;

	while (*at != probe)
		at = &(*at)->next;
	*at = probe->next;
	free(probe);
}

/* Out of the list first: the answer may end the check, which cancels all. */
static void finish(struct derp_probe *probe, uint64_t latency_us)
{
	struct ts_engine *engine = probe->engine;
	int region = probe->region;

	forget(probe);
	ts_node_derp_latency(engine->node, region, latency_us,
			     ts_loop_now_ms(engine->loop));
}

static void on_connected(void *ctx, struct ts_link *link)
{
	static const char request[] = "GET /derp/latency-check HTTP/1.1\r\n"
				      "Host: derp\r\n"
				      "Connection: close\r\n\r\n";
	struct derp_probe *probe = ctx;

	probe->link = link;
	probe->sent_us = engine_monotonic_us(probe->engine);
	ts_link_write(link, request, sizeof(request) - 1);
}

static void on_input(void *ctx, const uint8_t *data, size_t len)
{
	static const char http[] = "HTTP/1.";
	struct derp_probe *probe = ctx;
	uint64_t latency_us =
		engine_monotonic_us(probe->engine) - probe->sent_us;

	if (len < sizeof(http) || memcmp(data, http, sizeof(http) - 1) != 0)
		latency_us = 0; /* whoever that is */
	else if (latency_us == 0)
		latency_us = 1;
	ts_link_close(probe->link);
	finish(probe, latency_us);
}

static void on_closed(void *ctx, const char *error)
{
	(void)error;
	finish(ctx, 0);
}

static const struct ts_link_ops probe_ops = {
	.connected = on_connected,
	.input = on_input,
	.closed = on_closed,
};

void engine_derp_latency(void *ctx, int region, const struct ts_derp_node *node)
{
	struct ts_engine *engine = ctx;
	struct derp_probe *probe = calloc(1, sizeof(*probe));
	struct ts_link_config lc;

	if (!probe) /* the check ends by its time limit */
		return;
	engine_derp_link(node, &lc);
	lc.timeout_ms = LATENCY_DIAL_MS;
	probe->engine = engine;
	probe->region = region;
	probe->next = engine->derp_probes;
	engine->derp_probes = probe;
	probe->link = ts_link_open(engine->loop, engine->resolver, &lc,
				   &probe_ops, probe);
	if (!probe->link)
		forget(probe);
}

void engine_derp_latency_cancel(void *ctx)
{
	struct ts_engine *engine = ctx;

	while (engine->derp_probes) {
		struct derp_probe *probe = engine->derp_probes;

		ts_link_close(probe->link);
		forget(probe);
	}
}
