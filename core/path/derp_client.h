/* SPDX-License-Identifier: BSD-3-Clause
 * derp_client.h - our side of one connection to a DERP server
 *
 * Sans-IO. Whoever owns the stream says when it is open and hands in what
 * arrived; frames to send come out through ops->write. The connection starts
 * with an HTTP upgrade, or, when the server's key is known from its
 * certificate (fast start), at once with our ClientInfo.
 *
 *   closed -> upgrading -> greeting -> introduced -> ready
 *                  fast start: closed -> introduced
 *
 * Packets may follow ClientInfo without waiting for ServerInfo. Packets that
 * cannot be written yet - not introduced, or the stream is slow - wait in a
 * queue of 32 whose oldest is dropped; the queue outlives a reconnect.
 * Source: derp/derp_client.go, derp/derphttp/derphttp_client.go, PROTOCOL 8
 */
#ifndef CORE_PATH_DERP_CLIENT_H
#define CORE_PATH_DERP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/byte_queue.h"
#include "core/base/packet.h"
#include "core/base/token_bucket.h"
#include "core/crypto/box.h"
#include "core/path/derp_wire.h"

enum {
	DERP_WRITE_QUEUE_MAX = 32,
	/* A stream with more than this waiting is slow: queue here, where the
	 * oldest can still be dropped. */
	DERP_STREAM_QUEUED_MAX_BYTES = 64 << 10,
	/* How often a slow stream is looked at, if nobody says it drained. */
	DERP_SLOW_RETRY_MS = 20,
	DERP_READ_TIMEOUT_MS = 120000,
	DERP_HANDSHAKE_TIMEOUT_MS = 10000,
	DERP_CHECK_TIMEOUT_MS = 3000,
	DERP_HEALTH_TEXT_CAP = 256,
};

enum ts_derp_client_state {
	DERP_CLIENT_CLOSED,
	DERP_CLIENT_UPGRADING,
	DERP_CLIENT_GREETING,
	DERP_CLIENT_INTRODUCED,
	DERP_CLIENT_READY,
};

struct ts_derp_client_ops {
	void (*write)(void *ctx, const uint8_t *data, size_t len);
	/* Bytes that the stream has not got rid of yet. */
	size_t (*queued)(void *ctx);
	void (*ready)(void *ctx, uint64_t now_ms);
	void (*packet)(void *ctx, const struct ts_public_key *src,
		       const uint8_t *pkt, size_t len, uint64_t now_ms);
	void (*peer_gone)(void *ctx, const struct ts_public_key *peer);
	/* problem: one line, or NULL when it is over */
	void (*health)(void *ctx, const char *problem);
};

struct ts_derp_identity {
	struct ts_private_key private_key;
	struct ts_public_key public_key;
};

struct ts_derp_hello {
	const char *host_name;
	const char *ideal_node;               /* NULL: this is the ideal node */
	const struct ts_public_key *meta_key; /* not NULL: fast start */
	bool is_home;
};

struct ts_derp_queued {
	uint8_t *frame; /* heap */
	size_t len;
};

struct ts_derp_client {
	const struct ts_derp_client_ops *ops;
	void *ctx;
	int region;                              /* for log lines */
	const struct ts_derp_identity *identity; /* the owner's */
	enum ts_derp_client_state state;
	unsigned epoch; /* counts connections: was it closed under our feet? */
	bool is_home;
	struct ts_byte_queue http; /* head of the upgrade's answer */
	struct ts_derp_stream stream;
	struct ts_box box;
	struct ts_token_bucket rate;
	struct ts_derp_queued queue[DERP_WRITE_QUEUE_MAX]; /* a ring */
	size_t queue_head, queue_len;
	uint64_t now_ms;             /* of the input under way */
	uint64_t handshake_until_ms; /* while not ready */
	uint64_t last_frame_ms;
	uint64_t check_until_ms; /* UINT64_MAX: no ping outstanding */
	uint8_t check_data[DERP_PING_LEN];
	uint64_t slow_retry_ms; /* UINT64_MAX: the stream is not slow */
	uint32_t restart_in_ms; /* the server's wish, 0: none */
	bool has_problem;
	uint64_t dropped_queue, dropped_rate, dropped_pongs;
};

void ts_derp_client_init(struct ts_derp_client *c, int region,
			 const struct ts_derp_identity *identity,
			 const struct ts_derp_client_ops *ops, void *ctx);
void ts_derp_client_deinit(struct ts_derp_client *c);

/* The stream is open. 0, or an error after which to close it: -EINVAL (a host
 * name that cannot go in a header), -EACCES (a bad key), -ENOBUFS. */
int ts_derp_client_open(struct ts_derp_client *c,
			const struct ts_derp_hello *hello, uint64_t now_ms);
/* The stream is gone; nothing is called. */
void ts_derp_client_close(struct ts_derp_client *c);
/* Bytes that arrived. An error means: close the stream. -EBADMSG, -EPROTO,
 * -EACCES, -EMSGSIZE, -ENOMEM, -ECONNREFUSED (the server did not upgrade).
 * -ECANCELED: the connection was closed by somebody during a callback. */
int ts_derp_client_input(struct ts_derp_client *c, const uint8_t *data,
			 size_t len, uint64_t now_ms);
/* pkt has DERP_PACKET_HEADER_LEN bytes of headroom, which are overwritten.
 * 0, -EMSGSIZE, -ENOMEM; 0 does not mean that it arrives. */
int ts_derp_client_send(struct ts_derp_client *c,
			const struct ts_public_key *dst, struct ts_packet *pkt,
			uint64_t now_ms);
/* The stream can take more. */
void ts_derp_client_drained(struct ts_derp_client *c, uint64_t now_ms);
void ts_derp_client_set_home(struct ts_derp_client *c, bool is_home);
/* Ask for a sign of life within DERP_CHECK_TIMEOUT_MS. */
void ts_derp_client_check(struct ts_derp_client *c, uint64_t now_ms);
uint64_t ts_derp_client_deadline_ms(const struct ts_derp_client *c);
/* 0, or -ETIMEDOUT: close the stream. */
int ts_derp_client_tick(struct ts_derp_client *c, uint64_t now_ms);

#endif
