/* SPDX-License-Identifier: BSD-3-Clause
 * api_bench.h - a simulated node with its LocalAPI, whose bus hears its news
 */
#ifndef TESTS_UNIT_LOCALAPI_API_BENCH_H
#define TESTS_UNIT_LOCALAPI_API_BENCH_H

#include "unit/node/node_sim.h"

#include "core/base/err.h"
#include "core/localapi/localapi.h"

#define API "/localapi/v0/"

struct bench {
	struct sim *sim;
	struct ts_localapi *api;
};

struct said { /* one answer */
	unsigned calls;
	int status;
	char type[64], etag[TS_LOCALAPI_ETAG_CAP];
	char *text;
	json_t *json;
	struct ts_localapi_stream *stream;
	unsigned wakes;
};

struct asks {
	const char *method, *path; /* path: after API */
	const char *name, *value;  /* a query parameter, or NULL */
	const char *if_match;
	const char *body;
	bool is_reader, is_operator;
};

static inline void bench_state(void *ctx, enum ts_node_state state,
			       const char *error)
{
	struct bench *b = ctx;

	ts_localapi_state_changed(b->api, state, error, b->sim->now_ms);
}

static inline void bench_auth_url(void *ctx, const char *url)
{
	struct bench *b = ctx;

	ts_localapi_auth_url(b->api, url);
}

static inline void bench_netmap(void *ctx, unsigned changes)
{
	struct bench *b = ctx;

	ts_localapi_netmap_changed(b->api, changes);
}

static inline void bench_peer(void *ctx, const struct ts_peer *peer)
{
	struct bench *b = ctx;

	ts_localapi_peer_changed(b->api, peer);
}

static inline void bench_gone(void *ctx, const struct ts_peer *peer)
{
	struct bench *b = ctx;

	ts_localapi_peer_removed(b->api, peer);
}

static inline void bench_prefs(void *ctx, bool is_login)
{
	struct bench *b = ctx;

	ts_localapi_prefs_changed(b->api, is_login);
}

static const struct ts_node_io bench_io = {
	.state_changed = bench_state,
	.auth_url = bench_auth_url,
	.netmap_changed = bench_netmap,
	.peer_changed = bench_peer,
	.peer_removed = bench_gone,
	.prefs_changed = bench_prefs,
};

static inline void bench_open(struct bench *b, struct sim *sim,
			      const struct ts_localapi_env *env, void *env_ctx)
{
	static const struct ts_localapi_env none;

	b->sim = sim;
	b->api = ts_localapi_new(sim->nodes[0].node, env ? env : &none,
				 env_ctx);
	assert_non_null(b->api);
	sim->nodes[0].also = &bench_io;
	sim->nodes[0].also_ctx = b;
}

static inline void bench_close(struct bench *b)
{
	b->sim->nodes[0].also = NULL;
	ts_localapi_free(b->api);
	sim_free(b->sim);
}

static inline const char *bench_query(void *ctx, const char *name)
{
	const struct asks *a = ctx;

	return a->name && strcmp(name, a->name) == 0 ? a->value : NULL;
}

static inline const char *bench_header(void *ctx, const char *name)
{
	const struct asks *a = ctx;

	return strcmp(name, "If-Match") == 0 ? a->if_match : NULL;
}

static inline void said_wake(void *ctx)
{
	struct said *s = ctx;

	s->wakes++;
}

static inline void bench_done(void *ctx, const struct ts_localapi_reply *reply)
{
	struct said *s = ctx;

	s->calls++;
	s->status = reply->status;
	snprintf(s->type, sizeof(s->type), "%s",
		 reply->content_type ? reply->content_type : "");
	snprintf(s->etag, sizeof(s->etag), "%s", reply->etag);
	s->text = reply->body;
	s->stream = reply->stream;
	if (s->stream) {
		s->stream->wake = said_wake;
		s->stream->wake_ctx = s;
	} else if (strcmp(s->type, "application/json") == 0) {
		s->json = json_loads(s->text, JSON_DECODE_ANY, NULL);
		assert_non_null(s->json);
	}
}

static inline void said_clear(struct said *s)
{
	if (s->stream)
		s->stream->close(s->stream->ctx);
	free(s->text);
	json_decref(s->json);
	memset(s, 0, sizeof(*s));
}

/* s stays until said_clear(): an answer may come later. */
static inline void bench_ask(struct bench *b, struct asks asks, struct said *s)
{
	char path[256];
	struct ts_localapi_request request = {
		.method = asks.method,
		.path = path,
		.query = bench_query,
		.header = bench_header,
		.query_ctx = &asks,
		.body = asks.body,
		.body_len = asks.body ? strlen(asks.body) : 0,
		.may_write = !asks.is_reader,
		.is_owner = !asks.is_reader && !asks.is_operator,
	};

	snprintf(path, sizeof(path), API "%s", asks.path);
	memset(s, 0, sizeof(*s));
	ts_localapi_handle(b->api, &request, b->sim->now_ms, b->sim->wall_s,
			   bench_done, s);
}

/* The next message of a stream, or NULL; the caller decrefs. is_over: it has
 * ended. */
static inline json_t *said_next(struct said *s, bool *is_over)
{
	static char line[1 << 20];
	size_t len = 0;
	ssize_t n;
	char c;

	*is_over = false;
	while (len + 1 < sizeof(line)) {
		n = s->stream->read(s->stream->ctx, &c, 1);
		*is_over = n < 0;
		if (n <= 0)
			break;
		line[len++] = c;
		if (c == '\n')
			break;
	}
	line[len] = '\0';
	return len ? json_loads(line, 0, NULL) : NULL;
}

static inline const json_t *bench_at(const json_t *json, const char *path)
{
	char part[128];

	while (*path && json) {
		size_t len = strcspn(path, "/");

		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		json = json_is_array(json)
			       ? json_array_get(json, (size_t)atoi(part))
			       : json_object_get(json, part);
		path += path[len] ? len + 1 : len;
	}
	return json;
}

static inline void check_at(const json_t *json, const char *path,
			    const char *want)
{
	const json_t *value = bench_at(json, path);

	if (!json_is_string(value))
		fail_msg("%s is no text", path);
	assert_string_equal(json_string_value(value), want);
}

static inline void check_number(const json_t *json, const char *path, long want)
{
	const json_t *value = bench_at(json, path);

	if (!json_is_integer(value))
		fail_msg("%s is no number", path);
	assert_int_equal(json_integer_value(value), want);
}

#endif
