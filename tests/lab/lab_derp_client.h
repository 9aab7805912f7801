/* SPDX-License-Identifier: BSD-3-Clause
 * lab_derp_client.h - one connection of the DERP server
 *
 * Private to lab_derp.c, lab_derp_http.c and lab_derp_frames.c.
 */
#ifndef TESTS_LAB_LAB_DERP_CLIENT_H
#define TESTS_LAB_LAB_DERP_CLIENT_H

#include "core/base/key_map.h"
#include "core/path/derp_wire.h"
#include "tests/lab/lab.h"
#include "tests/lab/lab_stream.h"

struct lab_listener;
struct lab_relay;

enum { LAB_DERP_KEEP_ALIVE_MS = 60000 };

enum lab_derp_state {
	LAB_DERP_HTTP,
	LAB_DERP_INFO, /* waits for ClientInfo */
	LAB_DERP_READY,
	LAB_DERP_CLOSING,
};

struct lab_derp_client {
	struct lab_derp *derp;
	struct lab_derp_client *next, **pprev;
	unsigned id;
	enum lab_derp_state state;
	struct lab_stream *stream;
	struct ts_byte_queue head; /* HTTP only */
	struct ts_derp_stream frames;
	struct ts_public_key key;
	struct ts_box box;
	bool preferred;
	struct ts_key_map sent_to; /* node keys, for PeerGone */
	struct ts_timer *timer;	   /* handshake limit, then keep-alives */
};

struct lab_derp {
	struct lab *lab;
	struct ts_private_key key;
	struct ts_public_key public;
	struct lab_listener *listener;
	SSL_CTX *tls; /* NULL: in clear */
	struct lab_derp_client *clients;
	struct ts_key_map by_key; /* node key -> the client that is active */
	struct lab_relay *relay;
	unsigned last_id;
	uint64_t seed, handshakes, gone_sent, dropped;
	bool stalled, blackhole;
};

/* The connection that gets a key's packets; NULL: none. */
struct lab_derp_client *lab_derp_active(const struct lab_derp *derp,
					const struct ts_public_key *key);
/* Queue the frame that w wrote into buf. 0 or a negative errno. */
int lab_derp_write_small(struct lab_derp_client *c, const struct ts_writer *w,
			 const uint8_t *buf);
/* Answer the request in c->head once it is complete. 0, or a negative errno:
 * drop the connection. */
int lab_derp_read_head(struct lab_derp_client *c);
/* A frame of the client ctx; what ts_derp_stream_input() calls. */
int lab_derp_on_frame(void *ctx, const struct ts_derp_frame *frame);

#endif
