/* SPDX-License-Identifier: BSD-3-Clause
 * control_server.h - a scripted control server and the owner of one client,
 *                    joined in memory on a virtual clock
 *
 * The test says what the server answers; lab_run() moves bytes until nothing
 * moves any more. Nothing happens inside the client's ops but taking notes.
 */
#ifndef TESTS_UNIT_CONTROL_CONTROL_SERVER_H
#define TESTS_UNIT_CONTROL_CONTROL_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <nghttp2/nghttp2.h>
#include <zstd.h>

#include "core/base/byte_queue.h"
#include "core/base/encode.h"
#include "core/base/http1.h"
#include "core/base/log.h"
#include "core/control/control_client.h"
#include "core/control/ts2021_noise.h"
#include "core/crypto/secret.h"

enum { LAB_REQUESTS_MAX = 64, LAB_NOTES_MAX = 256, LAB_BIG = 64 << 20 };

struct lab_request {
	int32_t id;
	char method[16], path[256];
	struct ts_byte_queue body;
	unsigned lb_count;
	bool is_complete, is_answered, is_reset;
	struct ts_byte_queue reply;
	bool reply_ends;
};

struct lab {
	/* the server */
	struct ts_private_key control_key;
	struct ts_noise_session noise;
	bool is_upgraded, no_early, no_101;
	const char *noise_error; /* instead of the handshake's answer */
	struct ts_byte_queue to_server, plain, to_client;
	nghttp2_session *h2;
	struct lab_request requests[LAB_REQUESTS_MAX];
	size_t request_count, next_request;
	/* the owner */
	struct ts_control *c;
	struct ts_private_key machine_key;
	uint64_t now_ms;
	int64_t wall_s;
	char key_url[256], key_body[512];
	int key_status;
	const char *key_error;
	bool key_asked, dial_asked, is_connected, refuses_dial;
	struct ts_control_target targets[4];
	size_t target_count;
	unsigned dials, hangups, persists;
	enum ts_control_state state;
	char error[512], auth_url[256], ping_url[256], ping_types[64];
	unsigned browses;
	char browse_url[64];
	unsigned errors, auth_urls, state_changes, key_wants;
	unsigned upserts, removals, map_changes;
	unsigned changes; /* bits since the last look */
	int64_t removed_id;
	unsigned ping_acks, ping_probes;
	size_t piece; /* bytes per ts_control_input() */
};

/* -- the server ----------------------------------------------------------- */

static inline struct lab_request *lab_find(struct lab *lab, int32_t id)
{
	for (size_t i = 0; i < lab->request_count; i++)
		if (lab->requests[i].id == id)
			return &lab->requests[i];
	return NULL;
}

static inline int lab_on_begin(nghttp2_session *session,
			       const nghttp2_frame *frame, void *user)
{
	struct lab *lab = user;
	struct lab_request *request;

	(void)session;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	assert_true(lab->request_count < LAB_REQUESTS_MAX);
	request = &lab->requests[lab->request_count++];
	memset(request, 0, sizeof(*request));
	request->id = frame->hd.stream_id;
	ts_byte_queue_init(&request->body, LAB_BIG);
	ts_byte_queue_init(&request->reply, LAB_BIG);
	return 0;
}

static inline int lab_on_header(nghttp2_session *session,
				const nghttp2_frame *frame,
				const uint8_t *name, size_t name_len,
				const uint8_t *value, size_t value_len,
				uint8_t flags, void *user)
{
	struct lab_request *request = lab_find(user, frame->hd.stream_id);

	(void)session;
	(void)flags;
	if (name_len == 5 && memcmp(name, ":path", 5) == 0)
		snprintf(request->path, sizeof(request->path), "%.*s",
			 (int)value_len, (const char *)value);
	if (name_len == 7 && memcmp(name, ":method", 7) == 0)
		snprintf(request->method, sizeof(request->method), "%.*s",
			 (int)value_len, (const char *)value);
	if (name_len == 5 && memcmp(name, "ts-lb", 5) == 0)
		request->lb_count++;
	return 0;
}

static inline int lab_on_data(nghttp2_session *session, uint8_t flags,
			      int32_t id, const uint8_t *data, size_t len,
			      void *user)
{
	(void)session;
	(void)flags;
	return ts_byte_queue_push(&lab_find(user, id)->body, data, len);
}

static inline int lab_on_frame(nghttp2_session *session,
			       const nghttp2_frame *frame, void *user)
{
	struct lab_request *request = lab_find(user, frame->hd.stream_id);

	(void)session;
	if (frame->hd.type == NGHTTP2_PING &&
	    (frame->hd.flags & NGHTTP2_FLAG_ACK))
		((struct lab *)user)->ping_acks++;
	else if (frame->hd.type == NGHTTP2_PING)
		((struct lab *)user)->ping_probes++;
	if (request && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		request->is_complete = true;
	return 0;
}

static inline int lab_on_close(nghttp2_session *session, int32_t id,
			       uint32_t code, void *user)
{
	struct lab_request *request = lab_find(user, id);

	(void)session;
	(void)code;
	if (request)
		request->is_reset = true;
	return 0;
}

static inline ssize_t lab_read_reply(nghttp2_session *session, int32_t id,
				     uint8_t *out, size_t room,
				     uint32_t *flags,
				     nghttp2_data_source *source, void *user)
{
	struct lab_request *request = lab_find(user, id);
	size_t n = ts_byte_queue_len(&request->reply);

	(void)session;
	(void)source;
	n = n < room ? n : room;
	if (n > 0)
		memcpy(out, ts_byte_queue_data(&request->reply), n);
	ts_byte_queue_drop(&request->reply, n);
	if (ts_byte_queue_len(&request->reply) == 0 && request->reply_ends)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (n == 0)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

static inline void lab_send_plain(struct lab *lab, const void *data,
				  size_t len)
{
	const uint8_t *at = data;
	uint8_t record[TS_NOISE_FRAME_MAX];

	while (len > 0) {
		size_t n = len < TS_NOISE_PLAIN_MAX ? len : TS_NOISE_PLAIN_MAX;

		assert_int_equal(
			ts_noise_seal_record(&lab->noise, at, n, record), 0);
		assert_int_equal(
			ts_byte_queue_push(&lab->to_client, record,
					   n + TS_NOISE_RECORD_OVERHEAD),
			0);
		at += n;
		len -= n;
	}
}

static inline void lab_start_h2(struct lab *lab)
{
	static const uint8_t early[] =
		"\xff\xff\xffTS\0\0\0\x5f"
		"{\"nodeKeyChallenge\":\"chalpub:"
		"00000000000000000000000000000000"
		"00000000000000000000000000000000\"}";
	nghttp2_session_callbacks *callbacks;

	if (!lab->no_early)
		lab_send_plain(lab, early, 9 + 0x5f);
	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
								lab_on_begin);
	nghttp2_session_callbacks_set_on_header_callback(callbacks,
							 lab_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
								  lab_on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
							     lab_on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
							       lab_on_close);
	nghttp2_session_server_new(&lab->h2, callbacks, lab);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(lab->h2, NGHTTP2_FLAG_NONE, NULL, 0);
}

static inline void lab_answer_handshake(struct lab *lab,
					const struct ts_http1_head *head)
{
	const struct ts_http1_field *field =
		ts_http1_find(head, "X-Tailscale-Handshake");
	static const char switching[] =
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: tailscale-control-protocol\r\n"
		"Connection: upgrade\r\n\r\n";
	uint8_t *initiation, response[TS_NOISE_RESPONSE_LEN];
	uint8_t error[3 + 64] = {TS_NOISE_ERROR};
	size_t len;

	assert_non_null(field);
	assert_int_equal(ts_base64_decode(field->value, field->value_len,
					  &initiation, &len),
			 0);
	assert_int_equal(len, TS_NOISE_INITIATION_LEN);
	ts_byte_queue_push(&lab->to_client, switching, strlen(switching));
	if (lab->noise_error) {
		error[2] = (uint8_t)strlen(lab->noise_error);
		memcpy(error + 3, lab->noise_error, strlen(lab->noise_error));
		ts_byte_queue_push(&lab->to_client, error, 3u + error[2]);
		free(initiation);
		return;
	}
	assert_int_equal(ts_noise_respond(&lab->control_key, NULL, initiation,
					  response, &lab->noise),
			 0);
	free(initiation);
	ts_byte_queue_push(&lab->to_client, response, sizeof(response));
	lab->is_upgraded = true;
	lab_start_h2(lab);
}

static inline void lab_server_upgrade(struct lab *lab)
{
	static const char refusal[] =
		"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
	struct ts_http1_head head;
	int err = ts_http1_read_request(ts_byte_queue_data(&lab->to_server),
					ts_byte_queue_len(&lab->to_server),
					&head);

	if (err == -EAGAIN)
		return;
	assert_int_equal(err, 0);
	assert_int_equal(head.target_len, 7);
	assert_memory_equal(head.target, "/ts2021", 7);
	if (lab->no_101)
		ts_byte_queue_push(&lab->to_client, refusal, strlen(refusal));
	else
		lab_answer_handshake(lab, &head);
	ts_byte_queue_drop(&lab->to_server, head.head_len);
}

static inline void lab_server_records(struct lab *lab)
{
	uint8_t plain[TS_NOISE_PLAIN_MAX];
	const uint8_t *data;
	size_t len;
	ssize_t n;
	int used;

	while ((used = ts_noise_open_record(
			&lab->noise, ts_byte_queue_data(&lab->to_server),
			ts_byte_queue_len(&lab->to_server), plain, &len)) > 0) {
		ts_byte_queue_drop(&lab->to_server, (size_t)used);
		assert_int_equal(nghttp2_session_mem_recv(lab->h2, plain, len),
				 (ssize_t)len);
	}
	assert_int_equal(used, -EAGAIN);
	while ((n = nghttp2_session_mem_send(lab->h2, &data)) > 0)
		lab_send_plain(lab, data, (size_t)n);
}

static inline void lab_server_run(struct lab *lab)
{
	if (!lab->is_upgraded && ts_byte_queue_len(&lab->to_server) > 0)
		lab_server_upgrade(lab);
	if (lab->is_upgraded)
		lab_server_records(lab);
}

static inline void lab_server_reset(struct lab *lab)
{
	nghttp2_session_del(lab->h2);
	lab->h2 = NULL;
	ts_noise_session_deinit(&lab->noise);
	ts_byte_queue_deinit(&lab->to_server);
	ts_byte_queue_deinit(&lab->to_client);
	lab->is_upgraded = false;
	for (size_t i = 0; i < lab->request_count; i++) {
		ts_byte_queue_deinit(&lab->requests[i].body);
		ts_byte_queue_deinit(&lab->requests[i].reply);
	}
	lab->request_count = lab->next_request = 0;
}

/* -- the owner ------------------------------------------------------------ */

static inline void lab_fetch_key(void *ctx, const char *url)
{
	struct lab *lab = ctx;

	lab->key_asked = true;
	snprintf(lab->key_url, sizeof(lab->key_url), "%s", url);
}

static inline void lab_dial(void *ctx,
			    const struct ts_control_target *targets,
			    size_t count)
{
	struct lab *lab = ctx;

	assert_true(count >= 1 && count <= 4);
	memcpy(lab->targets, targets, count * sizeof(*targets));
	lab->target_count = count;
	lab->dial_asked = true;
	lab->dials++;
}

static inline void lab_write(void *ctx, const uint8_t *data, size_t len)
{
	struct lab *lab = ctx;

	assert_true(lab->is_connected);
	assert_int_equal(ts_byte_queue_push(&lab->to_server, data, len), 0);
}

static inline void lab_hangup(void *ctx)
{
	struct lab *lab = ctx;

	lab->hangups++;
	lab->is_connected = lab->dial_asked = false;
	lab_server_reset(lab);
}

static inline void lab_state_changed(void *ctx, enum ts_control_state state,
				     const char *error)
{
	struct lab *lab = ctx;

	lab->state = state;
	lab->state_changes++;
	if (!error)
		return;
	lab->errors++;
	snprintf(lab->error, sizeof(lab->error), "%s", error);
}

static inline void lab_auth_url(void *ctx, const char *url)
{
	struct lab *lab = ctx;

	lab->auth_urls++;
	snprintf(lab->auth_url, sizeof(lab->auth_url), "%s", url);
}

static inline void lab_want_auth_key(void *ctx)
{
	((struct lab *)ctx)->key_wants++;
}

static inline void lab_persist(void *ctx)
{
	((struct lab *)ctx)->persists++;
}

static inline void lab_upserted(void *ctx, struct ts_peer *peer)
{
	struct lab *lab = ctx;

	/* Everything is applied by now: the peer is found in the map. */
	assert_ptr_equal(
		ts_netmap_peer_by_id(ts_control_netmap(lab->c), peer->id),
		peer);
	lab->upserts++;
}

static inline void lab_removed(void *ctx, struct ts_peer *peer)
{
	struct lab *lab = ctx;

	lab->removals++;
	lab->removed_id = peer->id;
}

static inline void lab_netmap_changed(void *ctx, unsigned changes)
{
	struct lab *lab = ctx;

	lab->map_changes++;
	lab->changes |= changes;
}

static inline int64_t lab_wall(void *ctx)
{
	return ((struct lab *)ctx)->wall_s;
}

static inline void lab_ping(void *ctx, const char *url, const char *types,
			    const struct ts_ip *ip)
{
	struct lab *lab = ctx;

	(void)ip;
	snprintf(lab->ping_url, sizeof(lab->ping_url), "%s", url);
	snprintf(lab->ping_types, sizeof(lab->ping_types), "%s", types);
}

static inline bool lab_move(struct lab *lab)
{
	uint8_t bytes[16384];
	size_t len;

	if (lab->key_asked) {
		lab->key_asked = false;
		ts_control_key_fetched(lab->c, lab->key_status, lab->key_body,
				       strlen(lab->key_body), lab->key_error,
				       lab->now_ms);
		return true;
	}
	if (lab->dial_asked && !lab->is_connected) {
		lab->dial_asked = false;
		if (lab->refuses_dial) {
			ts_control_closed(lab->c, "connection refused",
					  lab->now_ms);
			return true;
		}
		lab->is_connected = true;
		lab_server_reset(lab);
		ts_control_connected(lab->c, lab->now_ms);
		return true;
	}
	if (!lab->is_connected)
		return false;
	lab_server_run(lab);
	len = ts_byte_queue_len(&lab->to_client);
	if (len == 0)
		return ts_byte_queue_len(&lab->to_server) > 0 &&
		       !lab->is_upgraded;
	len = len < sizeof(bytes) ? len : sizeof(bytes);
	if (lab->piece && len > lab->piece)
		len = lab->piece;
	memcpy(bytes, ts_byte_queue_data(&lab->to_client), len);
	ts_byte_queue_drop(&lab->to_client, len);
	ts_control_input(lab->c, bytes, len, lab->now_ms);
	return true;
}

static inline void lab_run(struct lab *lab)
{
	while (lab_move(lab))
		;
}

/* Let time pass, timers included, and move bytes after each of them. */
static inline void lab_sleep(struct lab *lab, uint64_t ms)
{
	uint64_t end = lab->now_ms + ms, next;

	lab_run(lab);
	while ((next = ts_control_deadline_ms(lab->c)) <= end) {
		if (next > lab->now_ms) {
			lab->wall_s += (int64_t)(next / 1000) -
				       (int64_t)(lab->now_ms / 1000);
			lab->now_ms = next;
		}
		ts_control_tick(lab->c, lab->now_ms);
		lab_run(lab);
		assert_true(ts_control_deadline_ms(lab->c) > lab->now_ms ||
			    lab->key_asked || lab->dial_asked);
	}
	lab->wall_s += (int64_t)(end / 1000) - (int64_t)(lab->now_ms / 1000);
	lab->now_ms = end;
}

/* The next complete request that the test has not looked at, or NULL. */
static inline struct lab_request *lab_next(struct lab *lab)
{
	lab_run(lab);
	if (lab->next_request == lab->request_count ||
	    !lab->requests[lab->next_request].is_complete)
		return NULL;
	return &lab->requests[lab->next_request++];
}

static inline struct lab_request *lab_expect(struct lab *lab,
					     const char *path)
{
	struct lab_request *request = lab_next(lab);

	assert_non_null(request);
	assert_string_equal(request->path, path);
	return request;
}

static inline json_t *lab_json(const struct lab_request *request)
{
	json_t *json = json_loadb(
		(const char *)ts_byte_queue_data(&request->body),
		ts_byte_queue_len(&request->body), 0, NULL);

	assert_non_null(json);
	return json;
}

static inline void lab_head(struct lab *lab, struct lab_request *request,
			    const char *status, const char *retry_after)
{
	nghttp2_nv fields[2] = {
		{(uint8_t *)(uintptr_t) ":status",
		 (uint8_t *)(uintptr_t)status, 7, strlen(status), 0},
		{(uint8_t *)(uintptr_t) "retry-after",
		 (uint8_t *)(uintptr_t)retry_after, 11,
		 retry_after ? strlen(retry_after) : 0, 0},
	};
	nghttp2_data_provider body = {.read_callback = lab_read_reply};

	assert_int_equal(nghttp2_submit_response(lab->h2, request->id, fields,
						 retry_after ? 2 : 1, &body),
			 0);
	request->is_answered = true;
}

static inline void lab_reply(struct lab *lab, struct lab_request *request,
			     const char *status, const char *body)
{
	ts_byte_queue_push(&request->reply, body, strlen(body));
	request->reply_ends = true;
	lab_head(lab, request, status, NULL);
	lab_run(lab);
}

static inline void lab_stream(struct lab *lab, struct lab_request *request,
			      const void *data, size_t len)
{
	if (!request->is_answered)
		lab_head(lab, request, "200", NULL);
	assert_int_equal(ts_byte_queue_push(&request->reply, data, len), 0);
	nghttp2_session_resume_data(lab->h2, request->id);
	lab_run(lab);
}

/* The framed, compressed form of one map message; heap. */
static inline uint8_t *lab_frame(const char *json, size_t json_len,
				 size_t *len)
{
	size_t bound = ZSTD_compressBound(json_len), n;
	uint8_t *frame = malloc(4 + bound);

	assert_non_null(frame);
	n = ZSTD_compress(frame + 4, bound, json, json_len, 1);
	assert_false(ZSTD_isError(n));
	for (int i = 0; i < 4; i++)
		frame[i] = (uint8_t)(n >> 8 * i);
	*len = n + 4;
	return frame;
}

static inline void lab_map(struct lab *lab, struct lab_request *request,
			   const char *json)
{
	size_t len;
	uint8_t *frame = lab_frame(json, strlen(json), &len);

	lab_stream(lab, request, frame, len);
	free(frame);
}

static inline void lab_server_closes(struct lab *lab, const char *error)
{
	lab->is_connected = false;
	lab_server_reset(lab);
	ts_control_closed(lab->c, error, lab->now_ms);
}

/* Whatever the path, its body. */
static inline void lab_c2n(void *ctx, const struct ts_c2n_request *request,
			   struct ts_c2n_reply *reply)
{
	(void)ctx;
	reply->status = 200;
	reply->body = malloc(request->body_len + 1);
	memcpy(reply->body, request->body, request->body_len);
	reply->body_len = request->body_len;
}

static inline void lab_browse(void *ctx, const char *url)
{
	struct lab *lab = ctx;

	lab->browses++;
	snprintf(lab->browse_url, sizeof(lab->browse_url), "%s", url);
}

static const struct ts_control_ops LAB_OPS = {
	.fetch_key = lab_fetch_key,
	.dial = lab_dial,
	.write = lab_write,
	.hangup = lab_hangup,
	.state_changed = lab_state_changed,
	.auth_url = lab_auth_url,
	.want_auth_key = lab_want_auth_key,
	.persist_changed = lab_persist,
	.peer_upserted = lab_upserted,
	.peer_removed = lab_removed,
	.netmap_changed = lab_netmap_changed,
	.wall_clock = lab_wall,
	.ping_request = lab_ping,
	.c2n = lab_c2n,
	.browse = lab_browse,
};

static inline struct ts_control_config lab_config(struct lab *lab)
{
	struct ts_control_config config = {
		.control_url = "http://127.0.0.1:8080",
		.machine_key = lab->machine_key,
		.auth_key = "tskey-auth-test",
		.backend_log_id = "0123456789abcdef",
		.hostname = "shim-test",
		.os_version = "6.1.0",
		.machine_arch = "x86_64",
		.app = "app",
		.ipn_version = "1.103.0",
	};

	ts_nl_key_generate(&config.nl_key);
	return config;
}

static inline struct lab *lab_new(void)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct ts_public_key control_pub;
	char text[TS_KEY_TEXT_CAP];

	assert_non_null(lab);
	ts_private_key_generate(&lab->control_key);
	ts_private_key_generate(&lab->machine_key);
	ts_public_key_from_private(&lab->control_key, &control_pub);
	snprintf(lab->key_body, sizeof(lab->key_body),
		 "{\"legacyPublicKey\":\"mkey:%064d\",\"publicKey\":\"%s\"}", 0,
		 ts_public_key_format(&control_pub, TS_PREFIX_MACHINE, text));
	lab->key_status = 200;
	lab->now_ms = 1000000;
	lab->wall_s = 1700000000;
	ts_byte_queue_init(&lab->to_server, LAB_BIG);
	ts_byte_queue_init(&lab->to_client, LAB_BIG);
	return lab;
}

static inline void lab_start_with(struct lab *lab,
				  const struct ts_control_config *config)
{
	lab->c = ts_control_new(config, &LAB_OPS, lab);
	assert_non_null(lab->c);
	ts_control_start(lab->c, lab->now_ms);
	lab_run(lab);
}

static inline void lab_start(struct lab *lab)
{
	struct ts_control_config config = lab_config(lab);

	lab_start_with(lab, &config);
}

static inline void lab_free(struct lab *lab)
{
	ts_control_free(lab->c);
	lab_server_reset(lab);
	ts_wipe(&lab->noise, sizeof(lab->noise));
	free(lab);
}

#define LAB_REGISTERED                                                         \
	"{\"User\":{\"ID\":9007199254740995,\"DisplayName\":\"U\"},"           \
	"\"Login\":{\"ID\":1,\"Provider\":\"x\",\"LoginName\":\"u@x.y\","      \
	"\"DisplayName\":\"U\"},\"NodeKeyExpired\":false,"                     \
	"\"MachineAuthorized\":true,\"AuthURL\":\"\"}"

#define LAB_FIRST_MAP                                                          \
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.ts.net.\","      \
	"\"Addresses\":[\"100.64.0.1/32\"],\"MachineAuthorized\":true},"       \
	"\"Domain\":\"example.com\",\"PacketFilter\":[]}"

/* Register by key, start the map, take the first lite update. */
static inline struct lab_request *lab_up(struct lab *lab)
{
	struct lab_request *map, *update;

	lab_start(lab);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "200",
		  LAB_REGISTERED);
	map = lab_expect(lab, "/machine/map");
	lab_map(lab, map, LAB_FIRST_MAP);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	update = lab_expect(lab, "/machine/map");
	lab_reply(lab, update, "200", "{}");
	return map;
}

/* Of a group of tests. */
static inline int lab_setup(void **state)
{
	(void)state;
	ts_log_set_level(TS_LOG_OFF);
	return ts_crypto_init();
}

#endif
