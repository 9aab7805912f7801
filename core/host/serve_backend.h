/* SPDX-License-Identifier: BSD-3-Clause
 * serve_backend.h - a proxy handler's connection to its backend
 *
 * One of each client's connection at a time; kept for the client's next
 * request when that is for the same backend. Bytes only, plain or inside TLS:
 * HTTP is serve_proxy.c's, and HTTP/1.1 to it, where the backend is spoken to in
 * HTTP/2 (gRPC: core/serve/h2_backend.h) as well.
 */
#ifndef CORE_HOST_SERVE_BACKEND_H
#define CORE_HOST_SERVE_BACKEND_H

#include "core/host/serve_dial.h"
#include "core/host/serve_internal.h"
#include "core/serve/h2_backend.h"

struct serve_backend {
	struct serve_conn *conn;
	struct serve_dial dial;
	int fd; /* -1: not connected yet, or dead */
	struct ts_watch *watch;
	void *tls; /* https */
	struct ts_timer *shake_timer; /* during its handshake */
	int err; /* why it is dead */
	bool is_up, has_ended, is_deaf; /* deaf: takes nothing more */
	struct ts_byte_queue in, out;
	bool wants_h2;
	struct ts_h2_backend *h2; /* NULL: it is not spoken */
	struct ts_byte_queue wire; /* frames that are not sent yet */
	int lost; /* why the connection is gone, while text is left */
	/* serve_proxy.c: the exchange */
	bool is_reused, has_spoken, has_head, is_chunked, keeps_alive;
	bool body_is_sent;
	uint64_t idle_from_ms; /* kept for the next request since */
	struct ts_http_body body; /* of the answer */
	struct ts_byte_queue trailers;
	uint8_t *resend; /* the head, for a connection that was given up */
	size_t resend_len;
};

/* On its way; NULL: no memory. wants_h2: HTTP/2, and by TLS what the backend
 * agrees to. */
struct serve_backend *serve_backend_new(struct serve_conn *conn,
					const struct ts_serve_target *target,
					bool wants_h2);
void serve_backend_free(struct serve_backend *b); /* NULL is fine */
/* Does it lead there, and is it good for another request? */
bool serve_backend_fits(const struct serve_backend *b,
			const struct ts_serve_target *target, bool wants_h2);
/* Not up yet: on with TLS' handshake. true: that is done, or has failed. */
bool serve_backend_shake(struct serve_backend *b);
/* true: bytes moved, or it ended. */
bool serve_backend_fill(struct serve_backend *b);
bool serve_backend_drain(struct serve_backend *b);
void serve_backend_end(struct serve_backend *b); /* our side, in order */
/* What it waits for now. b NULL is fine. */
void serve_backend_watch(struct serve_backend *b);

#endif
