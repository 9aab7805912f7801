/* SPDX-License-Identifier: BSD-3-Clause
 * lab_derp_frames.c - what DERP clients send
 *
 * First ClientInfo, which proves the node key; it is answered with ServerInfo.
 * Then packets, pings and notes, in any order.
 * Source: derp/derpserver/derpserver.go
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/lab_derp_client.h"
#include "tests/lab/lab_relay.h"

static int send_server_info(struct lab_derp_client *c)
{
	static const char JSON[] = "{\"version\":2}";
	uint8_t buf[DERP_FRAME_HEADER_LEN + TS_BOX_OVERHEAD + sizeof(JSON)];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));
	int err = ts_derp_write_server_info(&w, &c->box, JSON, strlen(JSON));

	return err ? err : lab_derp_write_small(c, &w, buf);
}

static int on_client_info(struct lab_derp_client *c,
			  const struct ts_derp_frame *frame)
{
	char json[DERP_INFO_JSON_MAX_LEN + 1];
	size_t len;
	json_t *info;
	int err;

	if (frame->type != DERP_CLIENT_INFO)
		return -EPROTO;
	err = ts_derp_read_client_info_key(frame, &c->key);
	if (!err)
		err = ts_box_init(&c->box, &c->derp->key, &c->key);
	if (!err)
		err = ts_derp_open_info(frame, &c->box, json, &len);
	if (err)
		return err;
	info = json_loadb(json, len, 0, NULL);
	if (!json_is_object(info))
		err = -EBADMSG;
	json_decref(info);
	if (!err)
		err = send_server_info(c);
	if (!err)
		err = ts_key_map_put(&c->derp->by_key, c->key.bytes, c);
	if (err)
		return err;
	c->state = LAB_DERP_READY;
	c->derp->handshakes++;
	ts_timer_set(c->timer, ts_loop_now_ms(c->derp->lab->loop) +
				       LAB_DERP_KEEP_ALIVE_MS);
	return 0;
}

static void remember_sent_to(struct lab_derp_client *c,
			     const struct ts_public_key *dst)
{
	struct ts_public_key *copy;

	if (ts_key_map_get(&c->sent_to, dst->bytes))
		return;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return;
	*copy = *dst;
	if (ts_key_map_put(&c->sent_to, dst->bytes, copy))
		free(copy);
}

static int on_send_packet(struct lab_derp_client *c,
			  const struct ts_derp_frame *frame)
{
	struct ts_public_key dst;
	const uint8_t *pkt;
	size_t len;
	int err = ts_derp_read_packet(frame, &dst, &pkt, &len);

	if (err)
		return err;
	if (lab_derp_active(c->derp, &dst))
		remember_sent_to(c, &dst);
	lab_relay_packet(c->derp->relay, &c->key, &dst, pkt, len,
			 c->derp->blackhole);
	return 0;
}

static int on_ping(struct lab_derp_client *c, const struct ts_derp_frame *frame)
{
	uint8_t data[DERP_PING_LEN], buf[DERP_SMALL_FRAME_CAP];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));
	int err = ts_derp_read_ping(frame, data);

	if (err)
		return err;
	ts_derp_write_ping(&w, DERP_PONG, data);
	return lab_derp_write_small(c, &w, buf);
}

int lab_derp_on_frame(void *ctx, const struct ts_derp_frame *frame)
{
	struct lab_derp_client *c = ctx;

	if (c->state == LAB_DERP_INFO)
		return on_client_info(c, frame);
	/* Whoever speaks last gets the key's packets. */
	if (lab_derp_active(c->derp, &c->key) != c)
		ts_key_map_put(&c->derp->by_key, c->key.bytes, c);
	switch (frame->type) {
	case DERP_SEND_PACKET:
		return on_send_packet(c, frame);
	case DERP_NOTE_PREFERRED:
		return ts_derp_read_note_preferred(frame, &c->preferred);
	case DERP_PING:
		return on_ping(c, frame);
	case DERP_FORWARD_PACKET:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
		return -EPERM; /* for mesh peers only */
	default:
		return 0;
	}
}
