/* SPDX-License-Identifier: BSD-3-Clause
 * lab_ping.h - PingRequests: ask a node something through its map stream
 */
#ifndef TESTS_LAB_LAB_PING_H
#define TESTS_LAB_LAB_PING_H

#include "core/crypto/keys.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab.h"

/* The answer's body, or NULL when none came in time. Called once. */
typedef void (*lab_ping_fn)(void *ctx, const char *answer);

/* 0 or -ENOMEM */
int lab_ping_new(struct lab *lab, struct lab_ping **out);
void lab_ping_free(struct lab_ping *ping); /* NULL is fine */
/* types: "c2n" with an HTTP request as payload, or ping types ("disco",
 * "TSMP,ICMP") with ip, or "" for a HEAD. payload and ip may be NULL.
 * 0, -ENOTCONN (no map stream), -ENOMEM. */
int lab_ping_send(struct lab_ping *ping, const struct lab_node *node,
		  const char *types, const char *ip, const char *payload,
		  uint64_t timeout_ms, lab_ping_fn fn, void *ctx);
/* Forget what was asked for ctx. */
void lab_ping_cancel(struct lab_ping *ping, const void *ctx);
/* The client's POST or HEAD of the URL. */
void lab_ping_answer(struct lab *lab, struct lab_h2_stream *stream,
		     const struct ts_public_key *machine,
		     const struct lab_h2_request *req);

#endif
