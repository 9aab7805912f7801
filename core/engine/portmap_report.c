/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_report.c - does a gateway map ports? for people
 * Source: feature/debugportmapper/debugportmapper.go
 *
 * A mapper of its own, beside the node's, asks for a port that nobody else has:
 * LOOKING until there is a mapping, nobody who makes one, or no more time; then
 * it is given back, RELEASING, and the end is told. Who asked may leave before:
 * what was mapped is given back all the same. One at a time.
 */
#include "core/engine/portmap_report.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/engine_internal.h"
#include "core/io/gateway.h"

enum {
	LINE_CAP = 256,
	RELEASE_MS = 1500,
	LOOK_MS = 50,
	LATE_MS = 250,
};

struct portmap_report {
	struct ts_engine *engine;
	void (*line)(void *ctx, const char *text); /* NULL: nobody listens */
	void *line_ctx;
	enum { LOOKING, RELEASING } state;
	struct ts_port_mapper *mapper;
	struct ts_timer *timer;
	int fd; /* whose port is asked for */
	struct ts_portmap_found found;
	bool has_mapping, has_found;
	bool is_done; /* with looking */
	uint64_t search_end_ms, end_ms;
};

__attribute__((format(printf, 2, 3))) static void
say(const struct portmap_report *r, const char *format, ...)
{
	char text[LINE_CAP];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (r->line)
		r->line(r->line_ctx, text);
}

/* -- what the mapper says ------------------------------------------------- */

static void wake(struct portmap_report *r)
{
	ts_timer_set(r->timer, 0);
}

/* A mapping may be there before all have had time to answer. */
static void end_looking(struct portmap_report *r)
{
	if (!r->has_mapping || !r->has_found)
		return;
	r->is_done = true;
	wake(r);
}

static void on_changed(void *ctx, const struct ts_addr *external)
{
	struct portmap_report *r = ctx;
	char text[TS_ADDR_TEXT_CAP];

	if (!external || r->is_done)
		return;
	say(r, "mapping: %s", ts_addr_format(external, text));
	r->has_mapping = true;
	end_looking(r);
}

static const char *yes_or_no(enum ts_tristate value)
{
	return value == TS_YES ? "true" : "false";
}

static void on_found(void *ctx, const struct ts_portmap_found *found)
{
	struct portmap_report *r = ctx;

	if (r->is_done)
		return;
	r->found = *found;
	r->has_found = true;
	say(r, "Probe: {PCP:%s PMP:%s UPnP:%s}",
	    yes_or_no(found->by_kind[PORTMAP_PCP]),
	    yes_or_no(found->by_kind[PORTMAP_PMP]),
	    yes_or_no(found->by_kind[PORTMAP_UPNP]));
	end_looking(r);
}

static const struct ts_port_mapper_ops mapper_ops = {
	.changed = on_changed,
	.found = on_found,
};

/* -- its life ------------------------------------------------------------- */

static void free_report(struct portmap_report *r)
{
	r->engine->portmap_report = NULL;
	ts_port_mapper_free(r->mapper);
	ts_timer_free(r->timer);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

static void finish(struct portmap_report *r)
{
	void (*line)(void *ctx, const char *text) = r->line;
	void *line_ctx = r->line_ctx;

	free_report(r);
	if (line)
		line(line_ctx, NULL);
}

static bool is_anybody_there(const struct portmap_report *r)
{
	for (int i = 0; i < PORTMAP_KINDS; i++)
		if (r->found.by_kind[i] == TS_YES)
			return true;
	return false;
}

/* Is there nothing to wait for any more? */
static bool has_looked(struct portmap_report *r, uint64_t now_ms)
{
	if (r->is_done)
		return true;
	if (now_ms >= r->search_end_ms && !is_anybody_there(r))
		say(r, "no portmapping services available");
	else if (now_ms >= r->end_ms)
		say(r, "no mapping: context done: context deadline exceeded");
	else
		return false;
	r->is_done = true;
	return true;
}

static void on_timer(void *ctx)
{
	struct portmap_report *r = ctx;
	uint64_t now_ms = ts_loop_now_ms(r->engine->loop);

	if (r->state == LOOKING) {
		if (!has_looked(r, now_ms)) {
			ts_timer_set(r->timer, now_ms < r->search_end_ms &&
						       r->search_end_ms <
							       r->end_ms
						       ? r->search_end_ms
						       : r->end_ms);
			return;
		}
		r->state = RELEASING;
		r->end_ms = now_ms + RELEASE_MS;
		ts_port_mapper_release(r->mapper);
	}
	if (ts_port_mapper_is_released(r->mapper) || now_ms >= r->end_ms)
		finish(r);
	else
		ts_timer_set(r->timer, now_ms + LOOK_MS);
}

void engine_portmap_leave(void *ctx)
{
	struct ts_engine *engine = ctx;
	struct portmap_report *r = engine->portmap_report;

	if (!r)
		return;
	r->line = NULL;
	r->is_done = true;
	wake(r);
}

void engine_portmap_report_end(struct ts_engine *engine)
{
	if (engine->portmap_report)
		finish(engine->portmap_report);
}

/* -- the beginning -------------------------------------------------------- */

/* 0 and a port of this machine that is the report's, or -errno. */
static int open_port(struct portmap_report *r, uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);

	r->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd < 0 || bind(r->fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    getsockname(r->fd, (struct sockaddr *)&sa, &len))
		return -errno;
	*port = ntohs(sa.sin_port);
	return 0;
}

/* What cannot even be asked is said, and is the end. */
static void begin(struct portmap_report *r,
		  const struct ts_localapi_portmap *wish)
{
	struct ts_portmap_network network = {.gateway = wish->gateway,
					     .own = wish->own};
	char gateway[TS_IP_TEXT_CAP], own[TS_IP_TEXT_CAP];
	int err = ts_ip_is_zero(&wish->gateway)
			  ? ts_default_gateway(&network.gateway, &network.own)
			  : 0;

	if (!err)
		err = open_port(r, &network.port);
	if (err == -ENOENT)
		say(r, "no gateway or self IP");
	else if (err)
		say(r, "cannot begin: %s", ts_strerror(err));
	else
		say(r, "gw=%s; self=%s", ts_ip_format(&network.gateway, gateway),
		    ts_ip_format(&network.own, own));
	if (!err && (!ts_ip_is_v4(&network.gateway) ||
		     !ts_ip_is_private(&network.gateway))) {
		say(r, "that is no private IPv4 address: it is not asked");
		err = -EINVAL;
	}
	r->is_done = err != 0;
	if (!err)
		ts_port_mapper_set_network(r->mapper, &network);
}

/* Who has not answered by then is not there. */
static uint64_t search_ms(const struct ts_localapi_portmap *wish)
{
	bool by_upnp = wish->kind < 0 || wish->kind == PORTMAP_UPNP;

	return (uint64_t)LATE_MS +
	       (by_upnp ? (uint64_t)PORTMAP_SSDP_MS : PORTMAP_PROBE_MS);
}

int engine_portmap_report(void *ctx, const struct ts_localapi_portmap *wish,
			  void (*line)(void *line_ctx, const char *text),
			  void *line_ctx)
{
	struct ts_engine *engine = ctx;
	const struct ts_peer *self = ts_node_netmap(engine->node)->self;
	uint64_t now_ms = ts_loop_now_ms(engine->loop);
	struct portmap_report *r;

	if (engine->portmap_report)
		return -EBUSY;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct portmap_report){
		.engine = engine, .line = line, .line_ctx = line_ctx, .fd = -1,
		.search_end_ms = now_ms + search_ms(wish),
		.end_ms = now_ms + (uint64_t)wish->duration_s * 1000};
	engine->portmap_report = r;
	r->mapper = ts_port_mapper_new(engine->loop, engine->http, &mapper_ops,
				       r);
	r->timer = ts_timer_new(engine->loop, on_timer, r);
	if (!r->mapper || !r->timer) {
		free_report(r);
		return -ENOMEM;
	}
	if (wish->kind >= 0)
		ts_port_mapper_allow_only(r->mapper,
					  (enum ts_portmap_kind)wish->kind);
	if (engine->config.disable_upnp ||
	    (self && ts_peer_has_cap(self, "debug-disable-upnp")))
		ts_port_mapper_allow_upnp(r->mapper, false);
	begin(r, wish);
	wake(r);
	return 0;
}
