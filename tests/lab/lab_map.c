/* SPDX-License-Identifier: BSD-3-Clause
 * lab_map.c - POST /machine/map: the network map and its changes
 *
 * A streaming request becomes a session that lives as long as its HTTP/2
 * stream. Its node is online while it has one; a newer stream of the same
 * node ends the older. Sessions are brought up to date once a turn of the
 * loop by comparing revisions (lab_state.h), unless their reader is slow.
 *
 * A request that is not streaming publishes what the client knows of itself
 * (lab_map_update.c).
 * Source: tstest/integration/testcontrol, hs:hscontrol/poll.go
 */
#include "tests/lab/lab_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "core/base/log.h"
#include "core/base/wire.h"
#include "tests/lab/lab_map_json.h"
#include "tests/lab/lab_map_update.h"
#include "tests/lab/lab_routes.h"

enum {
	KEEP_ALIVE_MS = 50000,
	SLOW_READER_BYTES = 1 << 20,
	FRAME_HEADER_LEN = 4,
	READ_ONLY_STREAM_VERSION = 68,
	ZSTD_LEVEL = 1,
};

struct session {
	struct lab_map *map;
	struct session *next, **pprev;
	struct lab_h2_stream *stream;
	struct ts_timer *keep_alive;
	int64_t node_id;
	uint64_t sent_rev;
	bool zstd, omit_peers;
};

struct lab_map {
	struct lab *lab;
	struct session *sessions;
	struct ts_timer *reaper; /* of ephemeral nodes */
	ZSTD_CCtx *zstd;
	size_t cut_left; /* SIZE_MAX: do not cut */
	bool held;
	uint64_t streams, updates, messages, keep_alives, bytes, cuts;
};

/* -- messages ------------------------------------------------------------- */

static void session_write(struct session *s, const void *data, size_t len)
{
	struct lab_map *map = s->map;
	bool cut = len > map->cut_left;
	size_t n = cut ? map->cut_left : len;

	map->bytes += n;
	lab_h2_write(s->stream, data, n);
	if (cut) {
		map->cut_left = SIZE_MAX;
		map->cuts++;
		lab_h2_abort(s->stream);
	} else if (map->cut_left != SIZE_MAX) {
		map->cut_left -= n;
	}
}

static int session_write_frame(struct session *s, const void *data, size_t len)
{
	uint8_t *frame = malloc(FRAME_HEADER_LEN + len);
	struct ts_writer w;

	if (!frame)
		return -ENOMEM;
	w = ts_writer_init(frame, FRAME_HEADER_LEN + len);
	ts_write_le32(&w, (uint32_t)len);
	ts_write_bytes(&w, data, len);
	session_write(s, frame, w.len);
	free(frame);
	return 0;
}

static int session_send(struct session *s, const char *json)
{
	size_t len = strlen(json), bound = ZSTD_compressBound(len);
	void *packed;
	int err = -EIO;

	if (!s->zstd)
		return session_write_frame(s, json, len);
	packed = malloc(bound);
	if (!packed)
		return -ENOMEM;
	len = ZSTD_compress2(s->map->zstd, packed, bound, json, len);
	if (!ZSTD_isError(len))
		err = session_write_frame(s, packed, len);
	free(packed);
	return err;
}

static void arm_keep_alive(struct session *s)
{
	ts_timer_set(s->keep_alive,
		     ts_loop_now_ms(s->map->lab->loop) + KEEP_ALIVE_MS);
}

static void on_keep_alive(void *ctx)
{
	struct session *s = ctx;

	if (!s->map->held) {
		s->map->keep_alives++;
		session_send(s, "{\"KeepAlive\":true}");
	}
	arm_keep_alive(s);
}

/* -- online and gone ------------------------------------------------------ */

static void arm_reaper(struct lab_map *map)
{
	const struct lab_state *st = &map->lab->state;
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < st->node_count; i++) {
		const struct lab_node *node = st->nodes[i];
		uint64_t due = node->offline_since_ms +
			       map->lab->opt.ephemeral_timeout_ms;

		if (node->ephemeral && !node->streams &&
		    node->offline_since_ms && due < at)
			at = due;
	}
	ts_timer_set(map->reaper, at);
}

static void on_reaper(void *ctx)
{
	struct lab_map *map = ctx;
	struct lab_state *st = &map->lab->state;
	const uint64_t now = ts_loop_now_ms(map->lab->loop);

	for (size_t i = st->node_count; i-- > 0;) {
		struct lab_node *node = st->nodes[i];

		if (node->ephemeral && !node->streams &&
		    node->offline_since_ms &&
		    node->offline_since_ms +
				    map->lab->opt.ephemeral_timeout_ms <=
			    now)
			lab_node_remove(st, node);
	}
	arm_reaper(map);
}

static void node_went(struct lab_map *map, struct lab_node *node)
{
	node->last_seen_unix = time(NULL);
	node->offline_since_ms = ts_loop_now_ms(map->lab->loop);
	log_info("node-%lld: %s offline", (long long)node->id, node->name);
	lab_node_changed(&map->lab->state, node, LAB_CHANGE_ONLINE);
	if (node->ephemeral)
		arm_reaper(map);
}

static void session_free(struct session *s)
{
	struct lab_node *node = lab_node_by_id(&s->map->lab->state, s->node_id);

	*s->pprev = s->next;
	if (s->next)
		s->next->pprev = s->pprev;
	ts_timer_free(s->keep_alive);
	if (node && node->streams && !--node->streams)
		node_went(s->map, node);
	free(s);
}

static void on_stream_gone(void *ctx)
{
	session_free(ctx);
}

/* End a session from our side. */
static void session_end(struct session *s)
{
	lab_h2_on_gone(s->stream, NULL, NULL);
	lab_h2_end(s->stream);
	session_free(s);
}

size_t lab_map_close(struct lab_map *map, const struct lab_node *node)
{
	struct session *next;
	size_t count = 0;

	for (struct session *s = map->sessions; s; s = next) {
		next = s->next;
		if (node && s->node_id != node->id)
			continue;
		session_end(s);
		count++;
	}
	return count;
}

/* -- requests ------------------------------------------------------------- */

static struct session *session_new(struct lab_map *map, int64_t node_id,
				   struct lab_h2_stream *stream,
				   const json_t *body)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->map = map;
	s->node_id = node_id;
	s->stream = stream;
	s->zstd = !strcmp(lab_json_text(body, "Compress"), "zstd");
	s->omit_peers = json_is_true(json_object_get(body, "OmitPeers"));
	s->keep_alive = ts_timer_new(map->lab->loop, on_keep_alive, s);
	if (!s->keep_alive) {
		free(s);
		return NULL;
	}
	s->next = map->sessions;
	s->pprev = &map->sessions;
	if (s->next)
		s->next->pprev = &s->next;
	map->sessions = s;
	return s;
}

static int send_full(struct session *s, struct lab_node *node)
{
	struct lab *lab = s->map->lab;
	char *json = lab_map_json_full(lab, node, s->omit_peers);
	int err = json ? session_send(s, json) : -ENOMEM;

	free(json);
	s->sent_rev = lab->state.rev;
	s->map->messages++;
	return err;
}

static void start_stream(struct lab_map *map, struct lab_node *node,
			 struct lab_h2_stream *stream, const json_t *body)
{
	struct session *s;

	lab_map_close(map, node); /* the older one */
	s = session_new(map, node->id, stream, body);
	if (!s) {
		lab_respond_error(stream, 500, "out of memory\n");
		return;
	}
	map->streams++;
	log_info("node-%lld: %s online", (long long)node->id, node->name);
	node->streams++;
	lab_node_changed(&map->lab->state, node, LAB_CHANGE_ONLINE);
	lab_h2_on_gone(stream, on_stream_gone, s);
	lab_h2_begin(stream, 200, "application/json");
	if (send_full(s, node))
		session_end(s);
	else
		arm_keep_alive(s);
}

/* One message and the end; a session that lives only here. */
static void answer_once(struct lab_map *map, struct lab_node *node,
			struct lab_h2_stream *stream, const json_t *body)
{
	struct session *s = session_new(map, 0, stream, body);

	lab_h2_begin(stream, 200, "application/json");
	if (s) {
		send_full(s, node);
		session_free(s);
	}
	lab_h2_end(stream);
}

static void publish(struct lab_map *map, struct lab_node *node,
		    const json_t *body)
{
	map->updates++;
	lab_map_update(&map->lab->state, node, body);
}

static void serve(struct lab *lab, struct lab_h2_stream *stream,
		  struct lab_node *node, const json_t *body)
{
	bool streams = json_is_true(json_object_get(body, "Stream"));
	bool read_only = json_is_true(json_object_get(body, "ReadOnly"));

	if (!read_only &&
	    (!streams || json_integer_value(json_object_get(body, "Version")) <
				 READ_ONLY_STREAM_VERSION))
		publish(lab->map, node, body);
	if (streams && !read_only)
		start_stream(lab->map, node, stream, body);
	else
		answer_once(lab->map, node, stream, body);
}

void lab_map_request(struct lab *lab, struct lab_h2_stream *stream,
		     const struct ts_public_key *machine,
		     const struct lab_h2_request *req)
{
	json_t *body = lab_request_json(stream, req);
	struct lab_node *node = NULL;
	struct ts_public_key key;

	if (!body)
		return;
	if (!lab_json_key(body, "NodeKey", TS_PREFIX_NODE, &key))
		node = lab_node_by_key(&lab->state, &key);
	if (!node)
		lab_respond_error(stream, 404, "node not found\n");
	else if (!ts_public_key_equal(&node->machine, machine))
		lab_respond_error(stream, 403,
				  "node doesn't match machine key\n");
	else
		serve(lab, stream, node, body);
	json_decref(body);
}

/* -- bringing clients up to date ------------------------------------------ */

static void session_update(struct session *s)
{
	struct lab *lab = s->map->lab;
	struct lab_node *node = lab_node_by_id(&lab->state, s->node_id);
	char *json;
	int err;

	if (!node) { /* removed: upstream's server hangs up as well */
		session_end(s);
		return;
	}
	json = lab_map_json_delta(lab, node, s->sent_rev, s->omit_peers, &err);
	s->sent_rev = lab->state.rev;
	if (json) {
		err = session_send(s, json);
		s->map->messages++;
		arm_keep_alive(s);
	}
	free(json);
	if (err)
		session_end(s);
}

void lab_map_flush(struct lab_map *map)
{
	struct session *next;

	if (map->held)
		return;
	for (struct session *s = map->sessions; s; s = next) {
		next = s->next;
		if (s->sent_rev != map->lab->state.rev &&
		    lab_h2_queued(s->stream) < SLOW_READER_BYTES)
			session_update(s);
	}
}

/* -- commands ------------------------------------------------------------- */

size_t lab_map_send_json(struct lab_map *map, const struct lab_node *node,
			 const char *json)
{
	size_t count = 0;

	for (struct session *s = map->sessions; s; s = s->next) {
		if (node && s->node_id != node->id)
			continue;
		session_send(s, json);
		count++;
	}
	return count;
}

size_t lab_map_send_raw(struct lab_map *map, const struct lab_node *node,
			const void *data, size_t len)
{
	size_t count = 0;

	for (struct session *s = map->sessions; s; s = s->next) {
		if (node && s->node_id != node->id)
			continue;
		session_write(s, data, len);
		count++;
	}
	return count;
}

void lab_map_cut_after(struct lab_map *map, size_t bytes)
{
	map->cut_left = bytes;
}

void lab_map_hold(struct lab_map *map, bool on)
{
	map->held = on;
}

json_t *lab_map_stats(const struct lab_map *map)
{
	json_int_t open = 0;

	for (const struct session *s = map->sessions; s; s = s->next)
		open++;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "open", open,
			 "streams", (json_int_t)map->streams, "updates",
			 (json_int_t)map->updates, "messages",
			 (json_int_t)map->messages, "keep_alives",
			 (json_int_t)map->keep_alives, "bytes",
			 (json_int_t)map->bytes, "cuts", (json_int_t)map->cuts);
}

int lab_map_new(struct lab *lab, struct lab_map **out)
{
	struct lab_map *map = calloc(1, sizeof(*map));

	if (!map)
		return -ENOMEM;
	map->lab = lab;
	map->cut_left = SIZE_MAX;
	map->reaper = ts_timer_new(lab->loop, on_reaper, map);
	map->zstd = ZSTD_createCCtx();
	if (!map->reaper || !map->zstd) {
		lab_map_free(map);
		return -ENOMEM;
	}
	ZSTD_CCtx_setParameter(map->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(map->zstd, ZSTD_c_checksumFlag, 1);
	*out = map;
	return 0;
}

void lab_map_free(struct lab_map *map)
{
	if (!map)
		return;
	lab_map_close(map, NULL);
	ts_timer_free(map->reaper);
	ZSTD_freeCCtx(map->zstd);
	free(map);
}
