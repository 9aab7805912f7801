/* SPDX-License-Identifier: BSD-3-Clause
 * tls_conn.h - a connection whose TLS this node ends, for its own files
 *
 *   tls_wire.c    ciphertext: the tunnel's connection or a socket, as a BIO
 *   tls_handshake.c  certificates, names, protocols
 *   tls_tickets.c    sessions that are taken up again
 *   tls_server.c  plain bytes, turns, ends
 *   tls_join.c    plain bytes to and from a program's socket
 */
#ifndef CORE_HOST_TLS_CONN_H
#define CORE_HOST_TLS_CONN_H

#include <openssl/ssl.h>

#include "core/base/byte_queue.h"
#include "core/host/host_internal.h"
#include "core/host/tls_server.h"
#include "core/host/tls_tickets.h"

enum {
	TLS_NAME_CAP = 256,
	TLS_OUT_HIGH = 64 * 1024, /* ciphertext that waits: nothing more then */
	TLS_OUT_MAX = 256 * 1024,
	TLS_EARLY_MAX = 64 * 1024,
	TLS_RECORD = 16 * 1024,
	TLS_LINGER_MS = 10 * 1000, /* for what was written, after the owner */
};

enum tls_step {
	TLS_HANDSHAKE,
	TLS_OPEN,
	TLS_CLOSING, /* the owner has gone; what he wrote goes out */
	TLS_OVER,    /* err says how: gone() is to be told */
};

struct ts_tls_server {
	SSL_CTX *ctx;
	BIO_METHOD *bio_method;
	struct ts_tls_tickets *tickets;
	struct ts_link conns, ready;
	struct ts_link joins; /* tls_join.c */
	size_t count;
	struct ts_timer *pump;	/* set while somebody is in ready */
	struct ts_timer *sweep; /* set while there are any */
	struct ts_log_limit limit;
};

struct ts_tls_conn {
	struct ts_link link;  /* in server->conns */
	struct ts_link ready; /* in server->ready, or in no list */
	struct ts_host *host;
	struct ts_member *member;
	const struct ts_tls_conn_ops *ops;
	void *user;
	SSL *ssl;
	enum tls_step step;
	int err;
	uint64_t due_ms; /* of a handshake, of a close; UINT64_MAX: never */
	bool is_deep;	 /* in work(): freed by that */
	bool is_freed;
	/* -- the wire -- */
	struct stack_tcp *tcp; /* NULL: a socket, or gone */
	int fd;		       /* -1: the tunnel, or gone */
	struct ts_watch *watch;
	struct ts_addr remote;
	bool is_public; /* from the internet: an ingress is the other end */
	struct ts_byte_queue early, out;
	bool is_up;		     /* the tunnel's handshake is done */
	bool wants_bytes;	     /* a read found none */
	bool wire_ended;	     /* nothing more comes */
	bool wire_gone;		     /* closed both ways, in order */
	bool wants_fin, has_fin;
	size_t budget; /* of this turn, in bytes */
	/* -- the certificate -- */
	char name[TLS_NAME_CAP];
	bool has_fixed_name;
	const char *alpn;
	void *cert_request; /* of host->certs; NULL: none */
	bool has_cert, cert_failed;
	bool is_proof; /* a CA looks whether the name is ours */
	char protocol[16];
	/* -- plain bytes -- */
	bool read_ended;  /* the owner has seen the end */
	bool wants_room;  /* was told a short write */
	bool told_ready;
};

/* -- tls_wire.c ----------------------------------------------------------- */
BIO_METHOD *ts_tls_wire_method(void); /* NULL: out of memory */
int ts_tls_wire_open(struct ts_tls_conn *conn, const struct ts_tls_wish *wish);
/* Ciphertext out, as far as it goes, and then the end, if that is due. */
void ts_tls_wire_flush(struct ts_tls_conn *conn);
/* false: by a reset */
void ts_tls_wire_close(struct ts_tls_conn *conn, bool in_order);

/* -- tls_handshake.c ------------------------------------------------------ */
SSL_CTX *ts_tls_make_ctx(void); /* NULL: out of memory */
/* A step of it; conn is open then, or broken, or it goes on later. */
void ts_tls_shake_hands(struct ts_tls_conn *conn);
/* What OpenSSL said of a call that did not succeed: -EAGAIN, or what the
 * connection is broken by. */
int ts_tls_failure_of(struct ts_tls_conn *conn, int ret);

/* -- tls_server.c --------------------------------------------------------- */
/* There is something to do. */
void ts_tls_line_up(struct ts_tls_conn *conn);
/* It is over, for this reason. */
void ts_tls_break(struct ts_tls_conn *conn, int err);

#endif
