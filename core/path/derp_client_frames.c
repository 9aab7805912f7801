/* SPDX-License-Identifier: BSD-3-Clause
 * derp_client_frames.c - what a DERP server sends us
 *
 * First its key, then ServerInfo; from then on others' packets, and what it
 * says of them and of itself. Frames that only servers or meshes exchange are
 * passed over.
 * Source: derp/derp_client.go (recvTimeout)
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "core/base/log.h"
#include "core/path/derp_client_internal.h"
#include "core/path/derp_info_json.h"

/* A server that is wrong about its restart must not cut us off. */
enum { RESTART_MAX_MS = 10000 };

/* -- the greeting --------------------------------------------------------- */

static int got_server_key(struct ts_derp_client *c,
			  const struct ts_derp_frame *frame)
{
	struct ts_public_key server;
	int err;

	if (c->state != DERP_CLIENT_GREETING)
		return 0; /* after a fast start it comes late, and is known */
	err = ts_derp_read_server_key(frame, &server);
	return err ? err : ts_derp_client_introduce(c, &server);
}

static int read_server_info(struct ts_derp_client *c,
			    const struct ts_derp_frame *frame,
			    struct ts_derp_server_info *info)
{
	char json[DERP_INFO_JSON_MAX_LEN + 1];
	size_t len;
	int err;

	err = ts_derp_open_info(frame, &c->box, json, &len);
	return err ? err : ts_derp_server_info_from_json(json, len, info);
}

static int got_server_info(struct ts_derp_client *c,
			   const struct ts_derp_frame *frame)
{
	struct ts_derp_server_info info = {0};
	int err;

	if (c->state != DERP_CLIENT_INTRODUCED)
		return -EPROTO;
	err = read_server_info(c, frame, &info);
	if (err)
		return err;
	ts_token_bucket_init(&c->rate, info.bucket_bytes_per_s,
			     info.bucket_burst_bytes, c->now_ms);
	ts_derp_client_set_state(c, DERP_CLIENT_READY);
	c->ops->ready(c->ctx, c->now_ms);
	return 0;
}

/* -- afterwards ----------------------------------------------------------- */

static int got_packet(struct ts_derp_client *c,
		      const struct ts_derp_frame *frame)
{
	struct ts_public_key src;
	const uint8_t *pkt;
	size_t len;
	int err;

	err = ts_derp_read_packet(frame, &src, &pkt, &len);
	if (!err)
		c->ops->packet(c->ctx, &src, pkt, len, c->now_ms);
	return err;
}

static int got_peer_gone(struct ts_derp_client *c,
			 const struct ts_derp_frame *frame)
{
	struct ts_public_key peer;
	uint8_t reason;
	int err;

	err = ts_derp_read_peer_gone(frame, &peer, &reason);
	if (!err)
		c->ops->peer_gone(c->ctx, &peer);
	return err;
}

static int got_ping(struct ts_derp_client *c, const struct ts_derp_frame *frame)
{
	uint8_t pong[DERP_SMALL_FRAME_CAP], data[DERP_PING_LEN];
	struct ts_writer w = ts_writer_init(pong, sizeof(pong));
	int err;

	err = ts_derp_read_ping(frame, data);
	if (err)
		return err;
	if (ts_derp_client_is_slow(c)) {
		c->dropped_pongs++;
		return 0;
	}
	err = ts_derp_write_ping(&w, DERP_PONG, data);
	if (!err)
		c->ops->write(c->ctx, pong, w.len);
	return err;
}

static int got_pong(struct ts_derp_client *c, const struct ts_derp_frame *frame)
{
	uint8_t data[DERP_PING_LEN];
	int err = ts_derp_read_ping(frame, data);

	if (!err && memcmp(data, c->check_data, sizeof(data)) == 0)
		c->check_until_ms = UINT64_MAX;
	return err;
}

/* The server's words go to logs and status pages: printable ASCII only. */
static int got_health(struct ts_derp_client *c,
		      const struct ts_derp_frame *frame)
{
	struct ts_reader r = ts_reader_init(frame->payload, frame->len);
	char text[DERP_HEALTH_TEXT_CAP];
	size_t len = 0;

	while (r.left > 0 && len < sizeof(text) - 1) {
		char ch = (char)ts_read_u8(&r);

		text[len++] = isprint((unsigned char)ch) ? ch : '?';
	}
	text[len] = '\0';
	if (len > 0 || c->has_problem)
		c->ops->health(c->ctx, len > 0 ? text : NULL);
	c->has_problem = len > 0;
	return 0;
}

static int got_restarting(struct ts_derp_client *c,
			  const struct ts_derp_frame *frame)
{
	uint32_t reconnect_in_ms, try_for_ms;
	int err;

	err = ts_derp_read_restarting(frame, &reconnect_in_ms, &try_for_ms);
	if (err)
		return err;
	c->restart_in_ms = reconnect_in_ms < RESTART_MAX_MS ? reconnect_in_ms
							    : RESTART_MAX_MS;
	log_info("derp-%d: server restarts, reconnect in %u ms", c->region,
		 c->restart_in_ms);
	return 0;
}

/* -- which of them -------------------------------------------------------- */

int ts_derp_client_take_frame(struct ts_derp_client *c,
			      const struct ts_derp_frame *frame)
{
	if (frame->type == DERP_SERVER_KEY)
		return got_server_key(c, frame);
	if (!ts_derp_client_is_introduced(c))
		return -EPROTO;
	switch (frame->type) {
	case DERP_SERVER_INFO:
		return got_server_info(c, frame);
	case DERP_RECV_PACKET:
		return got_packet(c, frame);
	case DERP_PEER_GONE:
		return got_peer_gone(c, frame);
	case DERP_PING:
		return got_ping(c, frame);
	case DERP_PONG:
		return got_pong(c, frame);
	case DERP_HEALTH:
		return got_health(c, frame);
	case DERP_RESTARTING:
		return got_restarting(c, frame);
	default:
		return 0; /* KeepAlive, and what only servers or meshes say */
	}
}
