/* SPDX-License-Identifier: BSD-3-Clause
 * dial_types_route.c - POST debug-dial-types: which way leads to an address
 * Source: ipn/localapi/debug.go (serveDebugDialTypes)
 *
 * Upstream has four dialers, and so many lines: UserDial is what programs get,
 * by the tailnet where that is the way; the three others go by the host's
 * network, which is one and the same to a node without a TUN device.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"

enum { DIALERS = 4, PATIENCE_MS = 5000 };

static const char *const names[DIALERS] = {"SystemDial", "UserDial",
					   "PeerDial", "BareDial"};

struct dial_types;

struct dialled {
	struct dial_types *all;
	bool is_over;
	int err;
};

struct dial_types {
	struct localapi_call call;
	struct ts_timer *timer;
	struct dialled results[DIALERS];
	unsigned left;
};

static void reply(struct dial_types *all)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (int i = 0; out && i < DIALERS; i++) {
		int err = all->results[i].err;

		fprintf(out, "[%s] connected=%s err=%s\n", names[i],
			err ? "false" : "true",
			err ? ts_strerror(err) : "<nil>");
	}
	if (out && fclose(out)) {
		free(text);
		text = NULL;
	}
	ts_timer_free(all->timer);
	localapi_reply_text(&all->call, 200, "text/plain; charset=utf-8", text);
	free(all);
}

static void on_dialled(void *ctx, int err, int fd)
{
	struct dialled *d = ctx;

	if (fd >= 0)
		close(fd);
	d->is_over = true;
	d->err = err;
	if (--d->all->left == 0)
		reply(d->all);
}

/* Who has not been answered by now fails; the last one frees all of it. */
static void on_timer(void *ctx)
{
	struct dial_types *all = ctx;
	const struct ts_localapi *api = all->call.api;
	struct dialled *late[DIALERS];
	int count = 0;

	for (int i = 0; i < DIALERS; i++)
		if (!all->results[i].is_over)
			late[count++] = &all->results[i];
	for (int i = 0; i < count; i++)
		api->env.dial_cancel(api->env_ctx, late[i]);
}

static void begin(struct dial_types *all, const struct ts_addr *to)
{
	const struct ts_localapi *api = all->call.api;
	bool by_host = ts_node_route(all->call.node, &to->ip, NULL) ==
		       TS_ROUTE_HOST;

	all->left = DIALERS + 1; /* nothing ends before all have begun */
	for (int i = 0; i < DIALERS; i++) {
		all->results[i].all = all;
		if (strcmp(names[i], "UserDial") == 0 && !by_host)
			api->env.dial(api->env_ctx, to, on_dialled,
				      &all->results[i]);
		else
			api->env.dial_host(api->env_ctx, to, on_dialled,
					   &all->results[i]);
	}
	ts_timer_set(all->timer, all->call.now_ms + PATIENCE_MS);
	if (--all->left == 0)
		reply(all);
}

/* NULL, or what is wrong. */
static const char *read_address(const struct localapi_call *call,
				struct ts_addr *to)
{
	const char *ip = localapi_query(call, "ip");
	const char *port = localapi_query(call, "port");
	const char *network = localapi_query(call, "network");
	char text[TS_ADDR_TEXT_CAP];
	bool is_v6 = ip && strchr(ip, ':');
	int len = snprintf(text, sizeof(text), is_v6 ? "[%s]:%s" : "%s:%s",
			   ip ? ip : "", port ? port : "");

	if (network && *network && strcmp(network, "tcp") != 0)
		return "network has to be tcp";
	if (len < 0 || (size_t)len >= sizeof(text) ||
	    ts_addr_parse(text, to) || to->port == 0)
		return "invalid address: ip and port";
	return NULL;
}

void localapi_dial_types(const struct localapi_call *call)
{
	struct ts_localapi *api = call->api;
	struct dial_types *all;
	struct ts_addr to;
	const char *why = read_address(call, &to);

	if (why || !api->env.dial || !api->env.dial_host) {
		localapi_reply_error(call, why ? 400 : 501,
				     why ? why : "this node cannot dial");
		return;
	}
	all = calloc(1, sizeof(*all));
	if (all)
		all->timer = ts_timer_new(api->env.loop, on_timer, all);
	if (!all || !all->timer) {
		free(all);
		localapi_reply_failure(call, "out of memory");
		return;
	}
	all->call = *call;
	all->call.request = NULL;
	begin(all, &to);
}
