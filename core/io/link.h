/* SPDX-License-Identifier: BSD-3-Clause
 * link.h - an outgoing byte stream: TCP, or TLS over TCP
 *
 * Resolves (c-ares), races address families (RFC 8305: 250 ms apart), honours
 * HTTPS_PROXY/HTTP_PROXY/ALL_PROXY/NO_PROXY by CONNECT, then does TLS. Writes
 * are queued up to a limit; nothing blocks. Exactly one of connected() and
 * closed() is called first; after closed() or ts_link_close() no callback
 * follows. A callback may close the link. The link is gone when closed()
 * returns or ts_link_close() was called, whichever is first. No callback runs
 * inside ts_link_open(), ts_link_race() or ts_link_write().
 */
#ifndef CORE_IO_LINK_H
#define CORE_IO_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/crypto/keys.h"
#include "core/loop/loop.h"
#include "core/io/resolver.h"

enum ts_link_tls {
	TS_LINK_PLAIN,
	TS_LINK_TLS,		/* verified against the system's roots */
	TS_LINK_TLS_UNVERIFIED, /* Noise or InsecureForTests */
	TS_LINK_TLS_PINNED,	/* leaf's SHA-256 equals pin */
};

struct ts_link_config {
	const char *host; /* name or IP literal */
	/* Addresses to use instead of resolving host; NULL or "": resolve,
	 * "none": not this family. Copied. */
	const char *ipv4, *ipv6;
	uint16_t port;
	enum ts_link_tls tls;
	const char *verify_name; /* NULL: host; also the SNI name is host */
	uint8_t pin[32];
	unsigned timeout_ms;   /* to connected(); 0: 10,000 */
	size_t write_queue_max; /* bytes; 0: 1 MiB. Above: closed() */
	bool drop_when_full;	/* no closed() then: -ENOBUFS is enough */
	bool no_alpn_h1;	/* do not offer "http/1.1" */
	bool alpn_h2;		/* offer "h2" before it */
	/* ts_cert_roots(), for many links; NULL: read for this one. */
	struct x509_store_st *roots;
};

struct ts_link;
struct ts_link_ops {
	void (*connected)(void *ctx, struct ts_link *link);
	void (*input)(void *ctx, const uint8_t *data, size_t len);
	/* error: one line naming host, port and reason; NULL: EOF */
	void (*closed)(void *ctx, const char *error);
	/* The write queue fell below half its limit; may be NULL. */
	void (*drained)(void *ctx);
};

struct ts_link *ts_link_open(struct ts_loop *loop, struct ts_resolver *res,
			     const struct ts_link_config *config,
			     const struct ts_link_ops *ops, void *ctx);
/* Race of several; started delay_ms after the call (or as soon as all earlier
 * ones failed); the first to connect wins and the others are closed. */
struct ts_link_candidate {
	struct ts_link_config config;
	unsigned delay_ms;
};
struct ts_link *ts_link_race(struct ts_loop *loop, struct ts_resolver *res,
			     const struct ts_link_candidate *candidates,
			     size_t count, const struct ts_link_ops *ops,
			     void *ctx);
/* 0, or -ENOBUFS when the queue is full: nothing was queued, and unless
 * drop_when_full closed() follows. Before connected() it waits in the queue.*/
int ts_link_write(struct ts_link *link, const void *data, size_t len);
size_t ts_link_queued(const struct ts_link *link);
/* Sends what is queued (bounded, 1 s), then closes; no callbacks. */
void ts_link_close(struct ts_link *link);
/* It is up, from an address that is none of ours any more. */
bool ts_link_is_stranded(const struct ts_link *link);
/* DERP's meta certificate (PROTOCOL 8.1): the server's public key, when the
 * TLS 1.3 chain had one. */
bool ts_link_derp_meta_key(const struct ts_link *link,
			   struct ts_public_key *out);

#endif
