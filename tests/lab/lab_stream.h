/* SPDX-License-Identifier: BSD-3-Clause
 * lab_stream.h - one TCP or Unix connection on the loop, plain or TLS
 *
 * Output waits in a bounded queue and is written when the kernel has room, so
 * a write never blocks and never fails half-way. A callback may free its own
 * stream.
 */
#ifndef TESTS_LAB_LAB_STREAM_H
#define TESTS_LAB_LAB_STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/loop/loop.h"

struct lab_stream;

struct lab_stream_ops {
	void (*input)(void *ctx, const uint8_t *data, size_t len);
	/* The other end closed (0), an error (negative errno), or all was
	 * written after lab_stream_finish() (0). Once; the owner frees. */
	void (*closed)(void *ctx, int err);
	/* The queue became empty; may be NULL. */
	void (*drained)(void *ctx);
};

/* Takes fd, also when it fails. tls: NULL for a plain connection. */
struct lab_stream *lab_stream_new(struct ts_loop *loop, int fd, SSL_CTX *tls,
				  const struct lab_stream_ops *ops, void *ctx);
void lab_stream_free(struct lab_stream *s); /* NULL is fine */
/* Queue bytes; 0, -EMSGSIZE (the queue is full), -ENOMEM. */
int lab_stream_write(struct lab_stream *s, const void *data, size_t len);
size_t lab_stream_queued(const struct lab_stream *s);
/* Take no more input; close once everything is written. */
void lab_stream_finish(struct lab_stream *s);
/* Stalled: neither reads nor writes, the connection stays open. */
void lab_stream_stall(struct lab_stream *s, bool on);

#endif
