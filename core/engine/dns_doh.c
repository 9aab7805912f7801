/* SPDX-License-Identifier: BSD-3-Clause
 * dns_doh.c - DNS over HTTPS for the host, by the engine's HTTPS client
 */
#include <stdlib.h>

#include "core/base/log.h"
#include "core/engine/engine_internal.h"

/* The query's own end comes first. */
enum { DOH_LIMIT_MS = 10 * 1000 };

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

	if (!request)
		return NULL;
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
