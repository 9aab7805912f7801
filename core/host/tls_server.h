/* SPDX-License-Identifier: BSD-3-Clause
 * tls_server.h - TLS that this node terminates, with its own certificates
 *
 * A connection of the tunnel, or a loopback socket, goes in; plain bytes come
 * out, and are taken. Which certificate is shown is a matter of the name that
 * the client asks for (SNI), or of the caller's wish; where it comes from is
 * the engine's business (ts_host_cert_ops): it may have to be obtained first,
 * while the client waits. Handshakes are bounded in time and in number.
 *
 * Back-pressure both ways: what the owner does not read is not taken from the
 * peer, and what the peer does not take makes ts_tls_conn_write() return short.
 */
#ifndef CORE_HOST_TLS_SERVER_H
#define CORE_HOST_TLS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/addr.h"
#include "netstack/stack.h"

struct ts_entry;
struct ts_host;
struct ts_member; /* the node whose connection, and certificate, it is */
struct ts_tls_conn;

/* What a side speaks inside of TLS, as RFC 7301 lists it. */
#define TS_ALPN_HTTP1 "\x08http/1.1"
#define TS_ALPN_HTTP2_HTTP1 "\x02h2\x08http/1.1"

enum {
	TS_TLS_HANDSHAKE_MS = 15 * 1000, /* what the client may take */
	TS_TLS_CERTIFICATE_MS = 60 * 1000, /* and what the certificate may */
	TS_TLS_CONNS_MAX = 1024,
	TS_TLS_CONNS_EACH = 256,      /* of one address */
	TS_TLS_HANDSHAKES_EACH = 32,  /* of which in handshake */
	TS_TLS_PUBLIC_MAX = 512,      /* from the internet, by ingresses */
	TS_TLS_PUBLIC_HANDSHAKES = 256, /* of which in handshake */
};

struct ts_tls_wish {
	/* Show this name's certificate, whatever the client asks for; NULL: the
	 * one that it asks for, and who asks for none is turned away. */
	const char *name;
	const char *alpn; /* static; NULL: none is offered */
	/* What was read of the connection already. */
	const void *early;
	size_t early_len;
};

/* As those of struct stack_tcp_ops, and never called inside of a call of the
 * owner's. After gone() the connection is no longer valid. */
struct ts_tls_conn_ops {
	/* The handshake is done: name and protocol are known. */
	void (*ready)(void *user);
	/* There are bytes, or the end. Who stops before -EAGAIN is not called
	 * again for what is there. */
	void (*readable)(void *user);
	/* There is room again after a short write. */
	void (*writable)(void *user);
	/* Over: 0 both directions closed in order, -EACCES no certificate, else
	 * -EPROTO, -ECONNRESET, -ETIMEDOUT, ... */
	void (*gone)(void *user, int err);
};

/* Each takes the connection in every case, error or not. tcp may still be on
 * its way (stack_syn_accept()), and is the callee's with its callbacks; remote
 * is its other end, or whom that brings from the internet. NULL: out of memory,
 * or too many: it was aborted. */
struct ts_tls_conn *ts_tls_accept_tcp(struct ts_member *member,
				      struct stack_tcp *tcp,
				      const struct ts_addr *remote,
				      const struct ts_tls_wish *wish,
				      const struct ts_tls_conn_ops *ops,
				      void *user);
/* A connected loopback socket; remote: whom it stands for. */
struct ts_tls_conn *ts_tls_accept_fd(struct ts_member *member, int fd,
				     const struct ts_addr *remote,
				     const struct ts_tls_wish *wish,
				     const struct ts_tls_conn_ops *ops,
				     void *user);

/* > 0 bytes, 0: the peer's end, -EAGAIN: readable() will be called, else it is
 * broken, and gone() follows. */
ssize_t ts_tls_conn_read(struct ts_tls_conn *conn, void *out, size_t cap);
/* Bytes taken; less than len: writable() will be called. */
size_t ts_tls_conn_write(struct ts_tls_conn *conn, const void *data,
			 size_t len);
/* Bytes that would be taken now; 0: writable() will be called. */
size_t ts_tls_conn_room(struct ts_tls_conn *conn);
/* Bytes that were taken and that the peer has not acknowledged, or that have
 * not been sent (to drain at exit). */
size_t ts_tls_conn_pending(const struct ts_tls_conn *conn);
/* close_notify and FIN after what was written. */
void ts_tls_conn_shutdown_write(struct ts_tls_conn *conn);
/* In order; what was written still goes out. No callback; conn is invalid. */
void ts_tls_conn_close(struct ts_tls_conn *conn);
/* By a reset. No callback; conn is invalid. */
void ts_tls_conn_abort(struct ts_tls_conn *conn);

/* After ready(): the name whose certificate is shown; what ALPN chose, "" for
 * nothing; the other end. */
const char *ts_tls_conn_name(const struct ts_tls_conn *conn);
const char *ts_tls_conn_protocol(const struct ts_tls_conn *conn);
struct ts_addr ts_tls_conn_remote(const struct ts_tls_conn *conn);

/* -- a program's listener (tls_join.c) ------------------------------------ */
/* A connection whose plain bytes are a program's: the TLS side is tcp, or
 * cipher_fd when tcp is NULL. near: the program's entry, which lives as long, or
 * NULL for a backend that is nobody of ours. Takes all of them, and ends by itself;
 * ended(ctx), which may be NULL, is called once it is over, or could not even
 * begin. */
void ts_tls_join(struct ts_member *member, struct stack_tcp *tcp, int cipher_fd,
		 const struct ts_addr *remote, const struct ts_tls_wish *wish,
		 int plain_fd, const struct ts_entry *near,
		 void (*ended)(void *ctx), void *ctx);
/* Of the plain side, as ts_host_finish(), ts_host_undelivered() and
 * ts_host_is_lingering() have it. */
void ts_tls_joins_finish(struct ts_host *host);
size_t ts_tls_joins_undelivered(const struct ts_host *host);
bool ts_tls_joins_linger(const struct ts_host *host);

/* -- app_inbound.c (tls_inbound.c) ---------------------------------------- */
struct ts_listener;
struct ts_relay_end;
bool ts_tls_is_for(const struct ts_member *member, const struct ts_listener *l);
/* A program listens: who serves it behind TLS will need a certificate. */
void ts_tls_listened(const struct ts_host *host, const struct ts_listener *l);
/* ends[0] is the program's; tcp is the other end, or ends[1] where tcp is NULL.
 * Takes all of them. */
void ts_tls_inbound_start(struct ts_member *member,
			  const struct ts_addr *remote, struct stack_tcp *tcp,
			  const struct ts_relay_end *ends);

/* -- host.c --------------------------------------------------------------- */
int ts_tls_server_open(struct ts_host *host);
void ts_tls_server_close(struct ts_host *host); /* aborts what is left */
/* Those in the tunnel are aborted: there is another node. */
void ts_tls_server_leave_node(struct ts_member *member);
/* Bytes that were taken and are not delivered. */
size_t ts_tls_undelivered(const struct ts_host *host);

#endif
