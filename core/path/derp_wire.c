/* SPDX-License-Identifier: BSD-3-Clause
 * derp_wire.c - DERP frames: bytes <-> structs
 * Source: derp/derp.go, derp/derp_client.go, PROTOCOL 8.2
 */
#include "core/path/derp_wire.h"

#include <errno.h>
#include <string.h>

static const uint8_t derp_magic[] = {'D',  'E',  'R',  'P',
				     0xf0, 0x9f, 0x94, 0x91};

/* -- stream -> frames ----------------------------------------------------- */

enum { PACKET_FRAME_MAX_LEN = TS_KEY_LEN + DERP_PACKET_MAX_LEN };

enum frame_fate { FRAME_READ, FRAME_SKIP, FRAME_REFUSE };

static enum frame_fate frame_fate(uint8_t type, size_t len)
{
	if (len > DERP_FRAME_MAX_LEN)
		return FRAME_REFUSE;
	switch (type) {
	case DERP_SEND_PACKET:
	case DERP_RECV_PACKET:
		return len > PACKET_FRAME_MAX_LEN ? FRAME_REFUSE : FRAME_READ;
	case DERP_SERVER_KEY:
	case DERP_CLIENT_INFO:
	case DERP_SERVER_INFO:
	case DERP_KEEP_ALIVE:
	case DERP_NOTE_PREFERRED:
	case DERP_PEER_GONE:
	case DERP_PEER_PRESENT:
	case DERP_FORWARD_PACKET:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
	case DERP_PING:
	case DERP_PONG:
	case DERP_HEALTH:
	case DERP_RESTARTING:
		return len > PACKET_FRAME_MAX_LEN ? FRAME_SKIP : FRAME_READ;
	default:
		return FRAME_SKIP;
	}
}

void ts_derp_stream_init(struct ts_derp_stream *s)
{
	memset(s, 0, sizeof(*s));
	ts_byte_queue_init(&s->payload, PACKET_FRAME_MAX_LEN);
}

void ts_derp_stream_deinit(struct ts_derp_stream *s)
{
	ts_byte_queue_deinit(&s->payload);
}

void ts_derp_stream_clear(struct ts_derp_stream *s)
{
	ts_byte_queue_clear(&s->payload);
	s->header_len = 0;
	s->skip_len = 0;
}

static size_t min_len(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* -EAGAIN: r ended before the header did. */
static int take_header(struct ts_derp_stream *s, struct ts_reader *r)
{
	size_t n = min_len(r->left, DERP_FRAME_HEADER_LEN - s->header_len);

	ts_read_bytes(r, s->header + s->header_len, n);
	s->header_len += n;
	return s->header_len < DERP_FRAME_HEADER_LEN ? -EAGAIN : 0;
}

/* The payload lies whole in r, or is put together in s->payload; -EAGAIN: r
 * ended before it did. */
static int take_payload(struct ts_derp_stream *s, struct ts_reader *r,
			struct ts_derp_frame *frame)
{
	size_t have = ts_byte_queue_len(&s->payload);
	size_t n = min_len(r->left, frame->len - have);
	int err;

	if (have == 0 && n == frame->len) {
		frame->payload = ts_read_view(r, n);
		return 0;
	}
	err = ts_byte_queue_push(&s->payload, ts_read_view(r, n), n);
	if (err)
		return err;
	frame->payload = ts_byte_queue_data(&s->payload);
	return have + n < frame->len ? -EAGAIN : 0;
}

/* -EAGAIN: all of r was used; 0: there may be more frames in it. */
static int take_frame(struct ts_derp_stream *s, struct ts_reader *r,
		      ts_derp_frame_fn fn, void *ctx)
{
	struct ts_derp_frame frame;
	struct ts_reader header;
	int err;

	err = take_header(s, r);
	if (err)
		return err;
	header = ts_reader_init(s->header, DERP_FRAME_HEADER_LEN);
	frame.type = ts_read_u8(&header);
	frame.len = ts_read_be32(&header);
	switch (frame_fate(frame.type, frame.len)) {
	case FRAME_REFUSE:
		return -EMSGSIZE;
	case FRAME_SKIP:
		s->skip_len = frame.len;
		s->header_len = 0;
		return 0;
	case FRAME_READ:
		break;
	}
	err = take_payload(s, r, &frame);
	if (err)
		return err;
	s->header_len = 0;
	err = fn(ctx, &frame);
	if (!err)
		ts_byte_queue_clear(&s->payload);
	return err;
}

int ts_derp_stream_input(struct ts_derp_stream *s, const uint8_t *data,
			 size_t len, ts_derp_frame_fn fn, void *ctx)
{
	struct ts_reader r = ts_reader_init(data, len);
	int err = 0;

	while (!err && r.left > 0) {
		size_t skip = min_len(r.left, s->skip_len);

		ts_read_skip(&r, skip);
		s->skip_len -= skip;
		if (r.left > 0)
			err = take_frame(s, &r, fn, ctx);
	}
	return err == -EAGAIN ? 0 : err;
}

/* -- structs -> frames ---------------------------------------------------- */

static void write_header(struct ts_writer *w, enum ts_derp_frame_type type,
			 size_t len)
{
	ts_write_u8(w, (uint8_t)type);
	ts_write_be32(w, (uint32_t)len);
}

static int written(const struct ts_writer *w)
{
	return w->bad ? -ENOBUFS : 0;
}

int ts_derp_write_frame(struct ts_writer *w, enum ts_derp_frame_type type,
			const void *payload, size_t len)
{
	if (len > DERP_FRAME_MAX_LEN)
		return -EMSGSIZE;
	write_header(w, type, len);
	ts_write_bytes(w, payload, len);
	return written(w);
}

int ts_derp_write_server_key(struct ts_writer *w,
			     const struct ts_public_key *server)
{
	write_header(w, DERP_SERVER_KEY, sizeof(derp_magic) + TS_KEY_LEN);
	ts_write_bytes(w, derp_magic, sizeof(derp_magic));
	ts_write_bytes(w, server->bytes, TS_KEY_LEN);
	return written(w);
}

static void write_sealed(struct ts_writer *w, const struct ts_box *box,
			 const char *json, size_t len)
{
	uint8_t sealed[TS_BOX_OVERHEAD + DERP_INFO_JSON_MAX_LEN];

	ts_box_seal(box, (const uint8_t *)json, len, sealed);
	ts_write_bytes(w, sealed, TS_BOX_OVERHEAD + len);
}

int ts_derp_write_client_info(struct ts_writer *w,
			      const struct ts_public_key *client,
			      const struct ts_box *box, const char *json,
			      size_t len)
{
	if (len > DERP_INFO_JSON_MAX_LEN)
		return -EMSGSIZE;
	write_header(w, DERP_CLIENT_INFO, TS_KEY_LEN + TS_BOX_OVERHEAD + len);
	ts_write_bytes(w, client->bytes, TS_KEY_LEN);
	write_sealed(w, box, json, len);
	return written(w);
}

int ts_derp_write_server_info(struct ts_writer *w, const struct ts_box *box,
			      const char *json, size_t len)
{
	if (len > DERP_INFO_JSON_MAX_LEN)
		return -EMSGSIZE;
	write_header(w, DERP_SERVER_INFO, TS_BOX_OVERHEAD + len);
	write_sealed(w, box, json, len);
	return written(w);
}

int ts_derp_write_packet_header(uint8_t out[static DERP_PACKET_HEADER_LEN],
				enum ts_derp_frame_type type,
				const struct ts_public_key *key, size_t pkt_len)
{
	struct ts_writer w = ts_writer_init(out, DERP_PACKET_HEADER_LEN);

	if (pkt_len > DERP_PACKET_MAX_LEN)
		return -EMSGSIZE;
	write_header(&w, type, TS_KEY_LEN + pkt_len);
	ts_write_bytes(&w, key->bytes, TS_KEY_LEN);
	return written(&w);
}

int ts_derp_write_note_preferred(struct ts_writer *w, bool preferred)
{
	write_header(w, DERP_NOTE_PREFERRED, 1);
	ts_write_u8(w, preferred ? 1 : 0);
	return written(w);
}

int ts_derp_write_peer_gone(struct ts_writer *w,
			    const struct ts_public_key *peer,
			    enum ts_derp_gone_reason reason)
{
	write_header(w, DERP_PEER_GONE, TS_KEY_LEN + 1);
	ts_write_bytes(w, peer->bytes, TS_KEY_LEN);
	ts_write_u8(w, (uint8_t)reason);
	return written(w);
}

int ts_derp_write_ping(struct ts_writer *w, enum ts_derp_frame_type type,
		       const uint8_t data[static DERP_PING_LEN])
{
	return ts_derp_write_frame(w, type, data, DERP_PING_LEN);
}

int ts_derp_write_restarting(struct ts_writer *w, uint32_t reconnect_in_ms,
			     uint32_t try_for_ms)
{
	write_header(w, DERP_RESTARTING, 2 * sizeof(uint32_t));
	ts_write_be32(w, reconnect_in_ms);
	ts_write_be32(w, try_for_ms);
	return written(w);
}

/* -- payload -> structs --------------------------------------------------- */

static struct ts_reader payload_reader(const struct ts_derp_frame *frame)
{
	return ts_reader_init(frame->payload, frame->len);
}

static int was_read(const struct ts_reader *r)
{
	return r->bad ? -EBADMSG : 0;
}

int ts_derp_read_server_key(const struct ts_derp_frame *frame,
			    struct ts_public_key *server)
{
	struct ts_reader r = payload_reader(frame);
	const uint8_t *magic = ts_read_view(&r, sizeof(derp_magic));

	ts_read_bytes(&r, server->bytes, TS_KEY_LEN);
	if (magic && memcmp(magic, derp_magic, sizeof(derp_magic)) != 0)
		return -EBADMSG;
	return was_read(&r);
}

int ts_derp_read_client_info_key(const struct ts_derp_frame *frame,
				 struct ts_public_key *client)
{
	struct ts_reader r = payload_reader(frame);

	ts_read_bytes(&r, client->bytes, TS_KEY_LEN);
	return was_read(&r);
}

int ts_derp_open_info(const struct ts_derp_frame *frame,
		      const struct ts_box *box,
		      char json[static DERP_INFO_JSON_MAX_LEN + 1], size_t *len)
{
	struct ts_reader r = payload_reader(frame);
	int err;

	if (frame->type == DERP_CLIENT_INFO)
		ts_read_skip(&r, TS_KEY_LEN);
	if (r.bad || r.left < TS_BOX_OVERHEAD)
		return -EBADMSG;
	if (r.left - TS_BOX_OVERHEAD > DERP_INFO_JSON_MAX_LEN)
		return -EMSGSIZE;
	err = ts_box_unseal(box, r.at, r.left, (uint8_t *)json);
	*len = err ? 0 : r.left - TS_BOX_OVERHEAD;
	json[*len] = '\0';
	return err;
}

int ts_derp_read_packet(const struct ts_derp_frame *frame,
			struct ts_public_key *key, const uint8_t **pkt,
			size_t *pkt_len)
{
	struct ts_reader r = payload_reader(frame);

	ts_read_bytes(&r, key->bytes, TS_KEY_LEN);
	*pkt = r.at;
	*pkt_len = r.left;
	return was_read(&r);
}

int ts_derp_read_note_preferred(const struct ts_derp_frame *frame,
				bool *preferred)
{
	struct ts_reader r = payload_reader(frame);

	*preferred = ts_read_u8(&r) != 0;
	return was_read(&r);
}

int ts_derp_read_peer_gone(const struct ts_derp_frame *frame,
			   struct ts_public_key *peer, uint8_t *reason)
{
	struct ts_reader r = payload_reader(frame);

	ts_read_bytes(&r, peer->bytes, TS_KEY_LEN);
	/* Old servers send no reason: that reads as disconnected. */
	*reason = r.left > 0 ? ts_read_u8(&r) : DERP_GONE_DISCONNECTED;
	return was_read(&r);
}

int ts_derp_read_ping(const struct ts_derp_frame *frame,
		      uint8_t data[static DERP_PING_LEN])
{
	struct ts_reader r = payload_reader(frame);

	ts_read_bytes(&r, data, DERP_PING_LEN);
	return was_read(&r);
}

int ts_derp_read_restarting(const struct ts_derp_frame *frame,
			    uint32_t *reconnect_in_ms, uint32_t *try_for_ms)
{
	struct ts_reader r = payload_reader(frame);

	*reconnect_in_ms = ts_read_be32(&r);
	*try_for_ms = ts_read_be32(&r);
	return was_read(&r);
}
