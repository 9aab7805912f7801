/* SPDX-License-Identifier: BSD-3-Clause
 * dial_route.c - a connection to a tailnet address over the LocalAPI's own
 *
 * `tailscale nc` and, by it, ssh's ProxyCommand. Where the tailnet is not the
 * way the caller is told to dial itself: it is a local process, and the host's
 * network is as near to it as to us.
 * Source: ipn/localapi/localapi.go (serveDial)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

static const char *header(const struct localapi_call *call, const char *name)
{
	const struct ts_localapi_request *rq = call->request;
	const char *value = rq->header ? rq->header(rq->query_ctx, name)
				       : NULL;

	return value ? value : "";
}

static void on_dialled(void *ctx, int err, int fd)
{
	struct localapi_call *call = ctx;
	struct ts_localapi_reply reply = {.status = 101, .has_fd = true,
					  .fd = fd};
	char text[96];

	if (err) {
		snprintf(text, sizeof(text), "dial failure: %s",
			 ts_strerror(err));
		localapi_reply_error(call, 502, text);
	} else {
		call->done(call->ctx, &reply);
	}
	free(call);
}

static void dial(const struct localapi_call *call, const struct ts_addr *to)
{
	const struct ts_localapi *api = call->api;
	struct localapi_call *kept = malloc(sizeof(*kept));

	if (!kept || !api->env.dial) {
		free(kept);
		localapi_reply_error(call, 502, "dial failure: not possible");
		return;
	}
	*kept = *call;
	kept->request = NULL;
	api->env.dial(api->env_ctx, to, on_dialled, kept);
}

static void reply_dial_self(const struct localapi_call *call,
			    const struct ts_addr *to)
{
	struct ts_localapi_reply reply = {.status = 200};

	ts_addr_format(to, reply.dial_self);
	call->done(call->ctx, &reply);
}

/* False: answered already. */
static bool resolve(const struct localapi_call *call, const char *host,
		    struct ts_addr *to)
{
	struct ts_dns_result found;

	if (ts_ip_parse(host, &to->ip) == 0)
		return true;
	if (ts_node_lookup(call->node, host, true, true, &found) ==
		    TS_DNS_FOUND &&
	    found.count > 0) {
		to->ip = found.addrs[0];
		return true;
	}
	localapi_reply_error(call, 502, "resolve failure: the tailnet has no "
					"such name");
	return false;
}

/* tcp, tcp4 and tcp6: the address decides the family anyway. */
static bool is_tcp(const char *network)
{
	return !*network || strcmp(network, "tcp") == 0 ||
	       strcmp(network, "tcp4") == 0 || strcmp(network, "tcp6") == 0;
}

void localapi_dial(const struct localapi_call *call)
{
	const char *host = header(call, "Dial-Host");
	const char *port_text = header(call, "Dial-Port");
	struct ts_addr to = {0};
	int64_t port;

	if (!strcasestr(header(call, "Connection"), "upgrade") ||
	    strcmp(header(call, "Upgrade"), "ts-dial") != 0) {
		localapi_reply_error(call, 400, "bad ts-dial upgrade");
		return;
	}
	if (!*host || !*port_text) {
		localapi_reply_error(call, 400,
				     "missing Dial-Host or Dial-Port header");
		return;
	}
	if (ts_int_parse(port_text, &port) || port < 1 || port > UINT16_MAX ||
	    !is_tcp(header(call, "Dial-Network"))) {
		localapi_reply_error(call, 400, "cannot dial that");
		return;
	}
	to.port = (uint16_t)port;
	if (!resolve(call, host, &to))
		return;
	if (ts_node_route(call->node, &to.ip, NULL) == TS_ROUTE_HOST)
		reply_dial_self(call, &to);
	else
		dial(call, &to);
}
