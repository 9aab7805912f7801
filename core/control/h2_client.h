/* SPDX-License-Identifier: BSD-3-Clause
 * h2_client.h - HTTP/2 requests over a byte stream in memory
 *
 * A client session by nghttp2: request bodies are sent from memory, response
 * bodies are handed over as they arrive and are never held back, PING and
 * SETTINGS are answered. The only file that knows nghttp2.
 */
#ifndef CORE_CONTROL_H2_CLIENT_H
#define CORE_CONTROL_H2_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ts_h2_client;

enum { TS_H2_RETRY_AFTER_CAP = 64, TS_H2_LB_MAX = 2 };

struct ts_h2_reply_ops {
	/* retry_after: the header's text or "". */
	void (*head)(void *ctx, int status, const char *retry_after);
	void (*body)(void *ctx, const uint8_t *data, size_t len);
	/* The stream is gone; error NULL: complete. Nothing follows. */
	void (*end)(void *ctx, const char *error);
};

struct ts_h2_request {
	const char *method, *path, *authority;
	const char *lb[TS_H2_LB_MAX]; /* Ts-Lb values, NULL: none */
	const void *body;	      /* copied; NULL: no body */
	size_t body_len;
	const struct ts_h2_reply_ops *ops;
	void *ctx;
};

struct ts_h2_ops {
	int (*write)(void *ctx, const uint8_t *data, size_t len);
	/* The server will not take new requests; code as in RFC 9113. */
	void (*goaway)(void *ctx, uint32_t code);
};

/* NULL when out of memory. Nothing is written before ts_h2_flush(). */
struct ts_h2_client *ts_h2_new(const struct ts_h2_ops *ops, void *ctx);
/* Open requests end without a callback. */
void ts_h2_free(struct ts_h2_client *h2);
/* Stream ID (> 0), -ENOMEM, or -EPROTO after GOAWAY. The reply ops are only
 * called from ts_h2_input() and ts_h2_flush(). */
int32_t ts_h2_submit(struct ts_h2_client *h2,
		     const struct ts_h2_request *request);
/* No callback follows. Unknown IDs are fine. */
void ts_h2_cancel(struct ts_h2_client *h2, int32_t stream_id);
void ts_h2_ping(struct ts_h2_client *h2);
/* 0 or -EBADMSG, -ENOMEM: the session is then over. */
int ts_h2_input(struct ts_h2_client *h2, const uint8_t *data, size_t len);
/* Write what is pending. */
int ts_h2_flush(struct ts_h2_client *h2);

#endif
