/* SPDX-License-Identifier: BSD-3-Clause
 * derp_stream.c - one stream to each DERP region that the node has in use
 *
 * The node says which region, and which node of it; what it sends there is
 * dropped when the queue is full, as a network would. Every callback of a
 * stream is turned into the node's function of the same meaning.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/log.h"
#include "core/engine/engine_internal.h"

enum {
	DERP_DIAL_MS = 10000,
	DERP_PORT = 443,
	DERP_QUEUE_MAX = 128 * 1024, /* more would only add delay */
};

static struct derp_stream *find_derp(const struct ts_engine *engine,
				     int region)
{
	struct derp_stream *d = engine->derps;

	while (d && d->region != region)
		d = d->next;
	return d;
}

static void forget_derp(struct derp_stream *derp)
{
	struct derp_stream **at = &derp->engine->derps;

	while (*at != derp)
		at = &(*at)->next;
	*at = derp->next;
	free(derp);
}

static void on_derp_connected(void *ctx, struct ts_link *link)
{
	struct derp_stream *derp = ctx;
	struct ts_public_key key;
	bool fast = ts_link_derp_meta_key(link, &key);

	derp->link = link;
	ts_node_derp_opened(derp->engine->node, derp->region,
			    fast ? &key : NULL, engine_now_ms(derp->engine));
}

static void on_derp_drained(void *ctx)
{
	struct derp_stream *derp = ctx;

	ts_node_derp_drained(derp->engine->node, derp->region,
			     engine_now_ms(derp->engine));
}

static void on_derp_input(void *ctx, const uint8_t *data, size_t len)
{
	struct derp_stream *derp = ctx;

	ts_node_derp_input(derp->engine->node, derp->region, data, len,
			   engine_now_ms(derp->engine));
}

static void on_derp_closed(void *ctx, const char *error)
{
	struct derp_stream *derp = ctx;
	struct ts_engine *engine = derp->engine;
	int region = derp->region;

	forget_derp(derp);
	ts_node_derp_closed(engine->node, region, error, engine_now_ms(engine));
}

static const struct ts_link_ops derp_link_ops = {
	.connected = on_derp_connected,
	.input = on_derp_input,
	.closed = on_derp_closed,
	.drained = on_derp_drained,
};

void engine_derp_close(void *ctx, int region)
{
	struct ts_engine *engine = ctx;
	struct derp_stream *derp = find_derp(engine, region);

	if (!derp)
		return;
	if (derp->link)
		ts_link_close(derp->link);
	forget_derp(derp);
}

static void set_derp_tls(struct ts_link_config *lc,
			 const struct ts_derp_node *node)
{
	static const char pin[] = "sha256-raw:";
	const char *name = node->cert_name;

	lc->tls = TS_LINK_TLS;
	if (node->insecure_for_tests) {
		lc->tls = TS_LINK_TLS_UNVERIFIED;
	} else if (name && strncmp(name, pin, sizeof(pin) - 1) == 0 &&
		   ts_hex_decode(name + sizeof(pin) - 1,
				 strlen(name + sizeof(pin) - 1), lc->pin,
				 sizeof(lc->pin)) == 0) {
		lc->tls = TS_LINK_TLS_PINNED;
	} else if (name && *name) {
		lc->verify_name = name;
	}
}

void engine_derp_link(const struct ts_derp_node *node,
		      struct ts_link_config *lc)
{
	*lc = (struct ts_link_config){
		.host = node->host_name,
		.ipv4 = node->ipv4,
		.ipv6 = node->ipv6,
		.port = (uint16_t)(node->derp_port ? node->derp_port
						   : DERP_PORT),
		.timeout_ms = DERP_DIAL_MS,
	};
	set_derp_tls(lc, node);
}

void engine_derp_open(void *ctx, int region, const struct ts_derp_node *node)
{
	struct ts_engine *engine = ctx;
	struct derp_stream *derp = calloc(1, sizeof(*derp));
	struct ts_link_config lc;

	engine_derp_close(engine, region);
	if (!derp)
		return;
	engine_derp_link(node, &lc);
	lc.write_queue_max = DERP_QUEUE_MAX;
	lc.drop_when_full = true; /* as a network would */
	derp->engine = engine;
	derp->region = region;
	derp->next = engine->derps;
	engine->derps = derp;
	derp->link = ts_link_open(engine->loop, engine->resolver, &lc,
				  &derp_link_ops, derp);
	if (!derp->link)
		log_warn("derp-%d: out of memory", region);
}

void engine_derp_write(void *ctx, int region, const uint8_t *data, size_t len)
{
	struct ts_engine *engine = ctx;
	struct derp_stream *derp = find_derp(engine, region);

	if (derp && derp->link)
		ts_link_write(derp->link, data, len);
}

size_t engine_derp_queued(void *ctx, int region)
{
	const struct derp_stream *derp = find_derp(ctx, region);

	return derp && derp->link ? ts_link_queued(derp->link) : 0;
}

/* Connections from an address that we have no more would stay silent until they
 * time out. */
void engine_leave_stranded(struct ts_engine *engine)
{
	struct derp_stream *derp = engine->derps, *next;

	for (; derp; derp = next) {
		int region = derp->region;

		next = derp->next;
		if (!derp->link || !ts_link_is_stranded(derp->link))
			continue;
		engine_derp_close(engine, region);
		ts_node_derp_closed(engine->node, region,
				    "its address is not ours any more",
				    engine_now_ms(engine));
	}
}

void engine_break_derps(struct ts_engine *engine)
{
	struct derp_stream *derp = engine->derps, *next;

	for (; derp; derp = next) {
		int region = derp->region;

		next = derp->next;
		engine_derp_close(engine, region);
		ts_node_derp_closed(engine->node, region,
				    "closed as somebody asked for it",
				    engine_now_ms(engine));
	}
}

void engine_close_derps(struct ts_engine *engine)
{
	while (engine->derps)
		engine_derp_close(engine, engine->derps->region);
}
