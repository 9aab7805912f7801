/* SPDX-License-Identifier: BSD-3-Clause
 * derp_client.c - our side of one connection to a DERP server
 *
 * The upgrade, who we are, what we send; derp_client_frames.c has what the
 * server sends.
 *
 * ops->write may find the stream broken and lead straight back to
 * ts_derp_client_close(), so after each call out the epoch tells whether the
 * connection that we were serving is still there.
 */
#include "core/path/derp_client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/http1.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/derp_client_internal.h"
#include "core/path/derp_info_json.h"

enum {
	HTTP_SWITCHING_PROTOCOLS = 101,
	REQUEST_CAP = 1024,
	CLIENT_INFO_CAP =
		DERP_FRAME_HEADER_LEN + TS_KEY_LEN + TS_BOX_OVERHEAD + 128,
};

static const char *state_name(enum ts_derp_client_state state)
{
	static const char *const names[] = {
		[DERP_CLIENT_CLOSED] = "closed",
		[DERP_CLIENT_UPGRADING] = "upgrading",
		[DERP_CLIENT_GREETING] = "greeting",
		[DERP_CLIENT_INTRODUCED] = "introduced",
		[DERP_CLIENT_READY] = "ready",
	};

	return names[state];
}

void ts_derp_client_set_state(struct ts_derp_client *c,
			      enum ts_derp_client_state next)
{
	if (c->state != next)
		log_debug("derp-%d: %s -> %s", c->region, state_name(c->state),
			  state_name(next));
	c->state = next;
}

bool ts_derp_client_is_introduced(const struct ts_derp_client *c)
{
	return c->state >= DERP_CLIENT_INTRODUCED;
}

/* -- write queue ---------------------------------------------------------- */

static void drop_oldest(struct ts_derp_client *c)
{
	free(c->queue[c->queue_head].frame);
	c->queue_head = (c->queue_head + 1) % DERP_WRITE_QUEUE_MAX;
	c->queue_len--;
}

static int enqueue(struct ts_derp_client *c, const uint8_t *frame, size_t len)
{
	uint8_t *copy = malloc(len);
	size_t tail;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, frame, len);
	if (c->queue_len == DERP_WRITE_QUEUE_MAX) {
		drop_oldest(c);
		c->dropped_queue++;
	}
	tail = (c->queue_head + c->queue_len) % DERP_WRITE_QUEUE_MAX;
	c->queue[tail] = (struct ts_derp_queued){.frame = copy, .len = len};
	c->queue_len++;
	return 0;
}

bool ts_derp_client_is_slow(struct ts_derp_client *c)
{
	return c->ops->queued(c->ctx) > DERP_STREAM_QUEUED_MAX_BYTES;
}

static bool can_write(struct ts_derp_client *c)
{
	return ts_derp_client_is_introduced(c) && !ts_derp_client_is_slow(c);
}

/* Over the server's rate the packet is dropped silently, as a network would. */
static void write_packet(struct ts_derp_client *c, const uint8_t *frame,
			 size_t len, uint64_t now_ms)
{
	if (ts_token_bucket_take(&c->rate, len, now_ms))
		c->ops->write(c->ctx, frame, len);
	else
		c->dropped_rate++;
}

static void pump_queue(struct ts_derp_client *c, uint64_t now_ms)
{
	while (c->queue_len > 0 && can_write(c)) {
		struct ts_derp_queued q = c->queue[c->queue_head];

		/* Off the queue first: the write may come back to us. */
		c->queue[c->queue_head].frame = NULL;
		drop_oldest(c);
		write_packet(c, q.frame, q.len, now_ms);
		free(q.frame);
	}
	c->slow_retry_ms = c->queue_len > 0 && ts_derp_client_is_introduced(c)
				   ? now_ms + DERP_SLOW_RETRY_MS
				   : UINT64_MAX;
}

int ts_derp_client_send(struct ts_derp_client *c,
			const struct ts_public_key *dst, struct ts_packet *pkt,
			uint64_t now_ms)
{
	uint8_t *frame = pkt->data - DERP_PACKET_HEADER_LEN;
	size_t len = DERP_PACKET_HEADER_LEN + pkt->len;
	int err;

	err = ts_derp_write_packet_header(frame, DERP_SEND_PACKET, dst,
					  pkt->len);
	if (err)
		return err;
	if (c->queue_len == 0 && can_write(c)) {
		write_packet(c, frame, len, now_ms);
		return 0;
	}
	err = enqueue(c, frame, len);
	if (!err && ts_derp_client_is_introduced(c) &&
	    c->slow_retry_ms == UINT64_MAX)
		c->slow_retry_ms = now_ms + DERP_SLOW_RETRY_MS;
	return err;
}

void ts_derp_client_drained(struct ts_derp_client *c, uint64_t now_ms)
{
	pump_queue(c, now_ms);
}

/* -- start ---------------------------------------------------------------- */

static void write_note_preferred(struct ts_derp_client *c)
{
	uint8_t frame[DERP_SMALL_FRAME_CAP];
	struct ts_writer w = ts_writer_init(frame, sizeof(frame));

	if (ts_derp_write_note_preferred(&w, c->is_home) == 0)
		c->ops->write(c->ctx, frame, w.len);
}

int ts_derp_client_introduce(struct ts_derp_client *c,
			     const struct ts_public_key *server)
{
	static const struct ts_derp_client_info info = {
		.version = DERP_PROTOCOL_VERSION,
		.can_ack_pings = true,
	};
	uint8_t frame[CLIENT_INFO_CAP];
	struct ts_writer w = ts_writer_init(frame, sizeof(frame));
	unsigned epoch = c->epoch;
	char json[128];
	int len, err;

	err = ts_box_init(&c->box, &c->identity->private_key, server);
	if (err)
		return err;
	len = ts_derp_client_info_to_json(&info, json, sizeof(json));
	if (len < 0)
		return len;
	err = ts_derp_write_client_info(&w, &c->identity->public_key, &c->box,
					json, (size_t)len);
	if (err)
		return err;
	ts_derp_client_set_state(c, DERP_CLIENT_INTRODUCED);
	c->ops->write(c->ctx, frame, w.len);
	if (c->epoch == epoch && c->is_home)
		write_note_preferred(c);
	if (c->epoch == epoch)
		pump_queue(c, c->now_ms);
	return c->epoch == epoch ? 0 : -ECANCELED;
}

/* What control tells us about a node goes in a header line: no line ends. */
static bool is_header_text(const char *text)
{
	for (; *text; text++)
		if (!isgraph((unsigned char)*text))
			return false;
	return true;
}

static int write_request(struct ts_derp_client *c,
			 const struct ts_derp_hello *hello)
{
	const char *ideal = hello->ideal_node ? hello->ideal_node : "";
	char request[REQUEST_CAP];
	int len;

	if (!is_header_text(hello->host_name) || !is_header_text(ideal))
		return -EINVAL;
	len = snprintf(request, sizeof(request),
		       "GET /derp HTTP/1.1\r\n"
		       "Host: %s\r\n"
		       "Upgrade: DERP\r\n"
		       "Connection: Upgrade\r\n"
		       "%s%s%s%s\r\n",
		       hello->host_name, *ideal ? "Ideal-Node: " : "", ideal,
		       *ideal ? "\r\n" : "",
		       hello->meta_key ? "Derp-Fast-Start: 1\r\n" : "");
	if (len < 0 || (size_t)len >= sizeof(request))
		return -ENOBUFS;
	c->ops->write(c->ctx, (const uint8_t *)request, (size_t)len);
	return 0;
}

int ts_derp_client_open(struct ts_derp_client *c,
			const struct ts_derp_hello *hello, uint64_t now_ms)
{
	unsigned epoch;
	int err;

	ts_derp_client_close(c);
	epoch = c->epoch;
	c->is_home = hello->is_home;
	c->now_ms = now_ms;
	c->last_frame_ms = now_ms;
	c->handshake_until_ms = now_ms + DERP_HANDSHAKE_TIMEOUT_MS;
	ts_derp_client_set_state(c, DERP_CLIENT_UPGRADING);
	err = write_request(c, hello);
	if (c->epoch != epoch)
		return -ECANCELED;
	if (!err && hello->meta_key)
		err = ts_derp_client_introduce(c, hello->meta_key);
	return err;
}

/* -- frames --------------------------------------------------------------- */

static int got_frame(void *ctx, const struct ts_derp_frame *frame)
{
	struct ts_derp_client *c = ctx;
	unsigned epoch = c->epoch;
	int err;

	c->last_frame_ms = c->now_ms;
	err = ts_derp_client_take_frame(c, frame);
	if (c->epoch != epoch)
		return -ECANCELED;
	if (err)
		log_debug("derp-%d: frame 0x%02x, %zu bytes: %s", c->region,
			  frame->type, frame->len, ts_strerror(err));
	return err;
}

/* -- upgrade -------------------------------------------------------------- */

/* Puts the answer's head together. Frames may follow it in the same segment:
 * *rest_len bytes at the end of data. -EAGAIN: not complete yet. */
static int read_upgrade(struct ts_derp_client *c, const uint8_t *data,
			size_t len, size_t *rest_len)
{
	size_t had = ts_byte_queue_len(&c->http);
	size_t room = TS_HTTP1_HEAD_MAX - had;
	struct ts_http1_head head;
	int err;

	err = ts_byte_queue_push(&c->http, data, len < room ? len : room);
	if (err)
		return err;
	err = ts_http1_read_response(ts_byte_queue_data(&c->http),
				     ts_byte_queue_len(&c->http), &head);
	if (err == -EAGAIN && len >= room)
		return -EMSGSIZE;
	if (err)
		return err;
	if (head.status != HTTP_SWITCHING_PROTOCOLS) {
		log_warn("derp-%d: upgrade refused: HTTP status %d", c->region,
			 head.status);
		return -ECONNREFUSED;
	}
	*rest_len = len - (head.head_len - had);
	ts_byte_queue_clear(&c->http);
	return 0;
}

int ts_derp_client_input(struct ts_derp_client *c, const uint8_t *data,
			 size_t len, uint64_t now_ms)
{
	size_t rest_len;
	int err;

	c->now_ms = now_ms;
	if (c->state == DERP_CLIENT_CLOSED)
		return -EPROTO;
	if (c->state == DERP_CLIENT_UPGRADING) {
		err = read_upgrade(c, data, len, &rest_len);
		if (err)
			return err == -EAGAIN ? 0 : err;
		ts_derp_client_set_state(c, DERP_CLIENT_GREETING);
		data += len - rest_len;
		len = rest_len;
	}
	return ts_derp_stream_input(&c->stream, data, len, got_frame, c);
}

/* -- upkeep --------------------------------------------------------------- */

void ts_derp_client_set_home(struct ts_derp_client *c, bool is_home)
{
	if (c->is_home == is_home)
		return;
	c->is_home = is_home;
	if (ts_derp_client_is_introduced(c))
		write_note_preferred(c);
}

void ts_derp_client_check(struct ts_derp_client *c, uint64_t now_ms)
{
	uint8_t ping[DERP_SMALL_FRAME_CAP];
	struct ts_writer w = ts_writer_init(ping, sizeof(ping));

	if (!ts_derp_client_is_introduced(c))
		return;
	ts_random_bytes(c->check_data, sizeof(c->check_data));
	c->check_until_ms = now_ms + DERP_CHECK_TIMEOUT_MS;
	if (ts_derp_write_ping(&w, DERP_PING, c->check_data) == 0)
		c->ops->write(c->ctx, ping, w.len);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When the connection is to be given up. */
static uint64_t timeout_ms(const struct ts_derp_client *c)
{
	uint64_t at_ms = c->last_frame_ms + DERP_READ_TIMEOUT_MS;

	if (c->state == DERP_CLIENT_CLOSED)
		return UINT64_MAX;
	if (c->state != DERP_CLIENT_READY)
		at_ms = c->handshake_until_ms;
	return earlier(at_ms, c->check_until_ms);
}

uint64_t ts_derp_client_deadline_ms(const struct ts_derp_client *c)
{
	return earlier(timeout_ms(c), c->slow_retry_ms);
}

int ts_derp_client_tick(struct ts_derp_client *c, uint64_t now_ms)
{
	if (now_ms >= timeout_ms(c))
		return -ETIMEDOUT;
	if (now_ms >= c->slow_retry_ms)
		pump_queue(c, now_ms);
	return 0;
}

void ts_derp_client_close(struct ts_derp_client *c)
{
	c->epoch++;
	ts_derp_client_set_state(c, DERP_CLIENT_CLOSED);
	ts_byte_queue_clear(&c->http);
	ts_derp_stream_clear(&c->stream);
	ts_wipe(&c->box, sizeof(c->box));
	c->rate = (struct ts_token_bucket){0};
	c->check_until_ms = UINT64_MAX;
	c->slow_retry_ms = UINT64_MAX;
	if (c->has_problem)
		c->ops->health(c->ctx, NULL);
	c->has_problem = false;
}

void ts_derp_client_init(struct ts_derp_client *c, int region,
			 const struct ts_derp_identity *identity,
			 const struct ts_derp_client_ops *ops, void *ctx)
{
	*c = (struct ts_derp_client){
		.ops = ops,
		.ctx = ctx,
		.region = region,
		.identity = identity,
		.check_until_ms = UINT64_MAX,
		.slow_retry_ms = UINT64_MAX,
	};
	ts_byte_queue_init(&c->http, TS_HTTP1_HEAD_MAX);
	ts_derp_stream_init(&c->stream);
}

void ts_derp_client_deinit(struct ts_derp_client *c)
{
	ts_derp_client_close(c);
	while (c->queue_len > 0)
		drop_oldest(c);
	ts_byte_queue_deinit(&c->http);
	ts_derp_stream_deinit(&c->stream);
}
