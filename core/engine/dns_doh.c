/* SPDX-License-Identifier: BSD-3-Clause
 * dns_doh.c - DNS over HTTPS for the host, by the engine's HTTPS client
 *
 * A server that is a node of the tailnet, or behind one (a subnet router, the
 * exit node), is called through the tunnel: by a socket of the host's, as the
 * proxy calls for its clients. Its name may be one of the netmap's; any other
 * is looked up on the host's network, since to ask the tailnet's resolvers for
 * their own address would be a circle.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/engine/engine_internal.h"
#include "core/host/host_call.h"

/* The query's own end comes first. */
enum { DOH_LIMIT_MS = 10 * 1000 };

/* -- the tunnel ----------------------------------------------------------- */

static bool is_inside(void *ctx, const struct ts_ip *ip)
{
	const struct ts_engine *engine = ctx;

	return engine->member && engine->node &&
	       ts_node_route(engine->node, ip, NULL) != TS_ROUTE_HOST;
}

static int call(void *ctx, const struct ts_addr *to, struct ts_addr *via)
{
	const struct ts_engine *engine = ctx;
	int fd = ts_host_prepare_call(engine->member, to, via);
	int copy;

	if (fd < 0)
		return fd;
	/* One that the host does not know: libcurl will just close it. */
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	ts_host_hang_up(fd);
	return copy >= 0 ? copy : -EMFILE;
}

const struct ts_http_tunnel engine_doh_tunnel = {
	.claims = is_inside,
	.call = call,
};

/* The address or the name in a URL; false: too long for either. */
static bool read_host(const char *url, char out[static TS_DNS_NAME_CAP])
{
	const char *at = strstr(url, "://");
	size_t len;

	at = at ? at + strlen("://") : url;
	at += *at == '[';
	len = strcspn(at, at > url && at[-1] == '[' ? "]" : ":/?#");
	if (len >= TS_DNS_NAME_CAP)
		return false;
	memcpy(out, at, len);
	out[len] = '\0';
	return true;
}

/* Where a server is that has its place in its URL, or in the netmap; their
 * number. */
static size_t find(const struct ts_engine *engine, const char *url,
		   struct ts_dns_result *out)
{
	char host[TS_DNS_NAME_CAP];

	*out = (struct ts_dns_result){0};
	if (!read_host(url, host))
		return 0;
	if (ts_ip_parse(host, &out->addrs[0]) == 0)
		return out->count = 1;
	return ts_node_lookup(engine->node, host, true, true, out) ==
			       TS_DNS_FOUND
		       ? out->count
		       : 0;
}

/* -- requests ------------------------------------------------------------- */

struct doh_request {
	struct ts_http_request *http;
	ts_doh_fn fn;
	void *ctx;
};

static void on_answer(void *ctx, int status, const char *body, size_t len,
		      const char *error)
{
	struct doh_request done = *(struct doh_request *)ctx;

	free(ctx);
	if (error || status != 200)
		log_debug("dns: by HTTPS: status %d%s%s", status,
			  error ? ", " : "", error ? error : "");
	done.fn(done.ctx, status, (const uint8_t *)body, len);
}

static void *start(void *ctx, const char *url, const struct ts_ip *ips,
		   size_t ip_count, const uint8_t *query, size_t len,
		   ts_doh_fn fn, void *fn_ctx)
{
	struct ts_engine *engine = ctx;
	struct doh_request *request = malloc(sizeof(*request));
	struct ts_dns_result found;

	if (!request)
		return NULL;
	if (ip_count == 0 && (ip_count = find(engine, url, &found)) > 0)
		ips = found.addrs;
	*request = (struct doh_request){.fn = fn, .ctx = fn_ctx};
	request->http = ts_http_ask_dns(engine->http, url, ips, ip_count,
					query, len, DOH_LIMIT_MS, on_answer,
					request);
	if (request->http)
		return request;
	free(request);
	return NULL;
}

static void cancel(void *handle)
{
	struct doh_request *request = handle;

	ts_http_cancel(request->http);
	free(request);
}

const struct ts_doh_ops engine_doh_ops = {.start = start, .cancel = cancel};
