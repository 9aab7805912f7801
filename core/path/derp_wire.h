/* SPDX-License-Identifier: BSD-3-Clause
 * derp_wire.h - DERP frames: bytes <-> structs, for clients and servers
 *
 * A connection is a stream of frames | type u8 | length BE4 | payload |. The
 * stream splitter cuts it up without copying where a frame arrived whole, and
 * skips the payload of frames whose type nobody knows without keeping it.
 * Source: derp/derp.go, derp/derp_client.go (formats), PROTOCOL 8.2
 */
#ifndef CORE_PATH_DERP_WIRE_H
#define CORE_PATH_DERP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/byte_queue.h"
#include "core/base/wire.h"
#include "core/crypto/box.h"
#include "core/crypto/keys.h"

enum ts_derp_frame_type {
	DERP_SERVER_KEY = 0x01,
	DERP_CLIENT_INFO = 0x02,
	DERP_SERVER_INFO = 0x03,
	DERP_SEND_PACKET = 0x04,
	DERP_RECV_PACKET = 0x05,
	DERP_KEEP_ALIVE = 0x06,
	DERP_NOTE_PREFERRED = 0x07,
	DERP_PEER_GONE = 0x08,
	DERP_PEER_PRESENT = 0x09,
	DERP_FORWARD_PACKET = 0x0a,
	DERP_WATCH_CONNS = 0x10,
	DERP_CLOSE_PEER = 0x11,
	DERP_PING = 0x12,
	DERP_PONG = 0x13,
	DERP_HEALTH = 0x14,
	DERP_RESTARTING = 0x15,
};

enum {
	DERP_PROTOCOL_VERSION = 2,
	DERP_FRAME_HEADER_LEN = 5,
	DERP_FRAME_MAX_LEN = 1 << 20, /* payload; more ends the connection */
	DERP_PACKET_MAX_LEN = 64 << 10,
	/* In front of a packet in a SendPacket or RecvPacket frame. */
	DERP_PACKET_HEADER_LEN = DERP_FRAME_HEADER_LEN + TS_KEY_LEN,
	DERP_PING_LEN = 8,
	DERP_INFO_JSON_MAX_LEN = 4096, /* plaintext of Client- and ServerInfo */
	/* ServerKey and the rest of the small frames fit in this. */
	DERP_SMALL_FRAME_CAP = 64,
};

enum ts_derp_gone_reason {
	DERP_GONE_DISCONNECTED = 0,
	DERP_GONE_NOT_HERE = 1,
};

/* One frame; payload lies in the input and is valid during the callback. */
struct ts_derp_frame {
	uint8_t type;
	const uint8_t *payload;
	size_t len;
};

/* -- stream -> frames ----------------------------------------------------- */

struct ts_derp_stream {
	uint8_t header[DERP_FRAME_HEADER_LEN]; /* of the frame under way */
	size_t header_len;
	struct ts_byte_queue payload; /* of a frame that comes in pieces */
	size_t skip_len;              /* payload bytes still to be ignored */
};

/* Not 0: stop at once; the value is what ts_derp_stream_input() returns, and
 * the stream may have been cleared meanwhile. */
typedef int (*ts_derp_frame_fn)(void *ctx, const struct ts_derp_frame *frame);

void ts_derp_stream_init(struct ts_derp_stream *s);
void ts_derp_stream_deinit(struct ts_derp_stream *s);
void ts_derp_stream_clear(struct ts_derp_stream *s); /* a new connection */
/* Calls fn for each frame that is complete. 0, -EMSGSIZE (a frame above
 * DERP_FRAME_MAX_LEN, or a packet frame above its limit), -ENOMEM or what fn
 * returned; after an error the connection is of no more use. Frames of
 * unknown type are skipped without a call. */
int ts_derp_stream_input(struct ts_derp_stream *s, const uint8_t *data,
			 size_t len, ts_derp_frame_fn fn, void *ctx);

/* -- structs -> frames: 0, -ENOBUFS when w is too small ------------------- */

/* Any frame; -EMSGSIZE above DERP_FRAME_MAX_LEN. */
int ts_derp_write_frame(struct ts_writer *w, enum ts_derp_frame_type type,
			const void *payload, size_t len);
int ts_derp_write_server_key(struct ts_writer *w,
			     const struct ts_public_key *server);
/* json (len <= DERP_INFO_JSON_MAX_LEN, else -EMSGSIZE) is sealed with box,
 * which joins the client's node key and the server's key. */
int ts_derp_write_client_info(struct ts_writer *w,
			      const struct ts_public_key *client,
			      const struct ts_box *box, const char *json,
			      size_t len);
int ts_derp_write_server_info(struct ts_writer *w, const struct ts_box *box,
			      const char *json, size_t len);
/* The DERP_PACKET_HEADER_LEN bytes before a packet of pkt_len bytes, so that
 * they can go in its headroom. -EMSGSIZE above DERP_PACKET_MAX_LEN. type is
 * DERP_SEND_PACKET (key: destination) or DERP_RECV_PACKET (key: source). */
int ts_derp_write_packet_header(uint8_t out[static DERP_PACKET_HEADER_LEN],
				enum ts_derp_frame_type type,
				const struct ts_public_key *key,
				size_t pkt_len);
int ts_derp_write_note_preferred(struct ts_writer *w, bool preferred);
int ts_derp_write_peer_gone(struct ts_writer *w,
			    const struct ts_public_key *peer,
			    enum ts_derp_gone_reason reason);
/* type: DERP_PING or DERP_PONG */
int ts_derp_write_ping(struct ts_writer *w, enum ts_derp_frame_type type,
		       const uint8_t data[static DERP_PING_LEN]);
int ts_derp_write_restarting(struct ts_writer *w, uint32_t reconnect_in_ms,
			     uint32_t try_for_ms);

/* -- payload -> structs: 0 or -EBADMSG (frame of that type expected) ------ */

int ts_derp_read_server_key(const struct ts_derp_frame *frame,
			    struct ts_public_key *server);
/* The key in front of the box; the server makes the box from it, then opens
 * the JSON with ts_derp_open_info(). */
int ts_derp_read_client_info_key(const struct ts_derp_frame *frame,
				 struct ts_public_key *client);
/* Opens the sealed JSON of a ClientInfo or ServerInfo frame. json gets a NUL
 * behind the text. 0, -EBADMSG, -EMSGSIZE, -EACCES (wrong keys). */
int ts_derp_open_info(const struct ts_derp_frame *frame,
		      const struct ts_box *box,
		      char json[static DERP_INFO_JSON_MAX_LEN + 1],
		      size_t *len);
/* SendPacket (key: destination) and RecvPacket (key: source). */
int ts_derp_read_packet(const struct ts_derp_frame *frame,
			struct ts_public_key *key, const uint8_t **pkt,
			size_t *pkt_len);
int ts_derp_read_note_preferred(const struct ts_derp_frame *frame,
				bool *preferred);
int ts_derp_read_peer_gone(const struct ts_derp_frame *frame,
			   struct ts_public_key *peer, uint8_t *reason);
/* Ping and Pong. */
int ts_derp_read_ping(const struct ts_derp_frame *frame,
		      uint8_t data[static DERP_PING_LEN]);
int ts_derp_read_restarting(const struct ts_derp_frame *frame,
			    uint32_t *reconnect_in_ms, uint32_t *try_for_ms);

#endif
