/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_localapi.c - requests to the LocalAPI of a node that reaches nobody
 *
 * Lines: METHOD, path below /localapi/v0/, query (name=value&...), header value
 * (for every header that is asked for); the rest is the body. The node stays
 * from one input to the next, as it does between callers. Answers must come
 * once, at once or at the latest with the end of the API.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/localapi/localapi.h"

enum { LINE_CAP = 512 };

static struct ts_node *node;
static struct ts_localapi *api;
static uint64_t now_ms = 1000;

struct lines {
	char method[LINE_CAP], path[LINE_CAP], query[LINE_CAP];
	char header[LINE_CAP];
	char value[LINE_CAP]; /* the last query value that was asked for */
};

/* -- a node without a network --------------------------------------------- */
static void fetch_key(void *ctx, const char *url)
{
	(void)ctx, (void)url;
}

static void dial(void *ctx, const struct ts_control_target *targets,
		 size_t count)
{
	(void)ctx, (void)targets, (void)count;
}

static void write_bytes(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx, (void)data, (void)len;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void udp_send(void *ctx, const struct ts_addr *to, const uint8_t *pkt,
		     size_t len)
{
	(void)ctx, (void)to, (void)pkt, (void)len;
}

static uint64_t wall_clock_ns(void *ctx)
{
	(void)ctx;
	return 1750000000u * 1000000000ull;
}

static void state_changed(void *ctx, enum ts_node_state state,
			  const char *error)
{
	(void)ctx;
	if (api)
		ts_localapi_state_changed(api, state, error, now_ms);
}

static void auth_url(void *ctx, const char *url)
{
	(void)ctx;
	if (api)
		ts_localapi_auth_url(api, url);
}

static void netmap_changed(void *ctx, unsigned changes)
{
	(void)ctx;
	if (api)
		ts_localapi_netmap_changed(api, changes);
}

static void prefs_changed(void *ctx, bool is_login)
{
	(void)ctx;
	if (api)
		ts_localapi_prefs_changed(api, is_login);
}

static const struct ts_node_io io = {
	.control_fetch_key = fetch_key,
	.control_dial = dial,
	.control_write = write_bytes,
	.control_hangup = nothing,
	.udp_send = udp_send,
	.udp_send_whole = udp_send,
	.wall_clock_ns = wall_clock_ns,
	.persist = nothing,
	.state_changed = state_changed,
	.auth_url = auth_url,
	.netmap_changed = netmap_changed,
	.prefs_changed = prefs_changed,
};

static void begin(void)
{
	static const struct ts_localapi_env env;
	static const char zeros[] = "00000000000000000000000000000000"
				    "00000000000000000000000000000000";
	struct ts_prefs prefs;
	struct ts_node_config config = {.prefs = &prefs,
					.backend_log_id = zeros};

	ts_crypto_init();
	ts_log_set_level(TS_LOG_OFF);
	ts_prefs_init_default(&prefs);
	prefs.hostname = strdup("fuzz");
	prefs.control_url = strdup("https://control.example");
	prefs.want_running = true;
	ts_private_key_generate(&config.machine_key);
	ts_nl_key_generate(&prefs.persist.nl_key);
	node = ts_node_new(&config, &io, NULL, now_ms);
	ts_prefs_deinit(&prefs);
	ts_node_start(node, now_ms);
	api = ts_localapi_new(node, &env, NULL);
	if (!node || !api)
		abort();
}

/* -- one request ---------------------------------------------------------- */
static const uint8_t *take_line(const uint8_t *data, size_t *len,
				char out[static LINE_CAP])
{
	const uint8_t *end = *len ? memchr(data, '\n', *len) : NULL;
	size_t n = end ? (size_t)(end - data) : *len;
	size_t used = end ? n + 1 : n;

	snprintf(out, LINE_CAP, "%.*s", (int)(n < LINE_CAP ? n : LINE_CAP - 1),
		 (const char *)data);
	*len -= used;
	return data + used;
}

static const char *query(void *ctx, const char *name)
{
	struct lines *l = ctx;
	const char *at = l->query;
	size_t len = strlen(name);

	while (*at) {
		size_t part = strcspn(at, "&");

		if (part > len && strncmp(at, name, len) == 0 &&
		    at[len] == '=') {
			snprintf(l->value, LINE_CAP, "%.*s",
				 (int)(part - len - 1), at + len + 1);
			return l->value;
		}
		at += part + (at[part] == '&');
	}
	return NULL;
}

static const char *header(void *ctx, const char *name)
{
	const struct lines *l = ctx;

	(void)name;
	return *l->header ? l->header : NULL;
}

static void on_done(void *ctx, const struct ts_localapi_reply *reply)
{
	unsigned *calls = ctx;
	char some[256];

	(*calls)++;
	if (reply->status < 100 || reply->status > 599)
		abort();
	if (reply->stream) {
		reply->stream->wake = nothing;
		(void)reply->stream->read(reply->stream->ctx, some,
					  sizeof(some));
		reply->stream->close(reply->stream->ctx);
	}
	if (reply->has_fd)
		close(reply->fd);
	free(reply->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static unsigned kept; /* answers that came after their input */
	unsigned before = kept;
	char path[LINE_CAP + 16];
	struct lines l;
	struct ts_localapi_request request = {
		.method = l.method,
		.path = path,
		.query = query,
		.header = header,
		.query_ctx = &l,
		.may_write = true,
		.is_owner = true,
	};

	if (!api)
		begin();
	data = take_line(data, &len, l.method);
	data = take_line(data, &len, l.path);
	data = take_line(data, &len, l.query);
	data = take_line(data, &len, l.header);
	snprintf(path, sizeof(path), "/localapi/v0/%s", l.path);
	request.body = (const char *)data;
	request.body_len = len;
	now_ms += 100;
	ts_localapi_handle(api, &request, now_ms, 1750000000, on_done, &kept);
	if (kept > before + 1 && strcmp(l.path, "ping") != 0 &&
	    strcmp(l.path, "logout") != 0)
		abort();
	ts_localapi_tick(api, now_ms, 1750000000);
	if (ts_node_deadline_ms(node) <= now_ms)
		ts_node_tick(node, now_ms);
	return 0;
}
