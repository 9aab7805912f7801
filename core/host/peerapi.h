/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi.h - the small HTTP server that peers know each other by
 *
 * At our own tailnet addresses, inside the tunnel alone: no socket of this
 * machine listens. What is served is the table of peerapi_routes.c. A route is
 * given a request with its body, or, when it takes bodies as they come, as soon
 * as the head is there; it answers once, now or later, at once or bit by bit.
 */
#ifndef CORE_HOST_PEERAPI_H
#define CORE_HOST_PEERAPI_H

#include "core/base/byte_queue.h"
#include "core/host/host_internal.h"
#include "core/host/peerapi_request.h"

enum {
	PEERAPI_CONNS_MAX = 256,
	PEERAPI_CONNS_EACH = 32, /* of one peer */
	PEERAPI_IDLE_MS = 60 * 1000,
	PEERAPI_REQUEST_MS = 10 * 1000, /* to send one, or to take an answer */
	PEERAPI_BODY_MS = 60 * 1000,  /* of silence in the middle of one */
	PEERAPI_PIECE_MAX = 8 * 1024, /* of an answer */
};

struct ts_peerapi;
struct ts_peerapi_conn;

/* Who takes a body as it comes. Its ctx is over with its answer, or with
 * gone(). */
struct ts_peerapi_taker {
	void (*data)(void *ctx, const uint8_t *data, size_t len);
	void (*end)(void *ctx); /* that was all of it */
	/* As asked for by ts_peerapi_want_turn(). */
	void (*turn)(void *ctx);
	void (*gone)(void *ctx); /* the peer, in the middle of it */
};

/* Whose answer comes bit by bit. */
struct ts_peerapi_source {
	/* How many bytes of at most PEERAPI_PIECE_MAX; 0: that was all;
	 * -errno: the connection is given up. */
	ssize_t (*read)(void *ctx, char *out);
	void (*close)(void *ctx);
};

struct ts_peerapi_conn {
	struct ts_link link; /* in peerapi->conns */
	struct ts_member *member;
	struct stack_tcp *tcp;
	struct ts_addr remote;
	int64_t peer_id;
	struct ts_byte_queue in, out;
	bool is_up, is_busy; /* busy: a request is being answered */
	bool is_head;	     /* whose answer has no body */
	bool closes; /* when out is empty */
	bool is_last; /* this request: no other is read */
	bool in_body; /* of the request, which is taken or passed over */
	bool is_ended; /* ... and is whole, as its taker knows */
	bool is_lingering; /* all is said, and the peer still speaks */
	bool wants_turn;
	struct ts_http_body body;
	const struct ts_peerapi_taker *taker; /* NULL: nobody wants it */
	void *taker_ctx;
	const struct ts_peerapi_source *source; /* NULL: none */
	void *source_ctx;
	bool is_deep; /* within one of our calls: not to be freed */
	bool is_over;
	uint64_t due_ms; /* then it is closed */
};

int ts_peerapi_open(struct ts_member *member);
void ts_peerapi_close(struct ts_member *member);
/* Is this our port for it? */
bool ts_peerapi_owns(const struct ts_member *member,
		     const struct ts_addr *local);
void ts_peerapi_syn(struct ts_member *member, struct stack_syn *syn,
		    const struct ts_addr *remote);

/* Another node takes the place of this one. */
void ts_peerapi_leave_node(struct ts_member *member);

/* -- peerapi_routes.c ----------------------------------------------------- */
/* Does the route of this request take its body as it comes? */
bool ts_peerapi_takes_body(const struct ts_peerapi_request *req);
/* Answers now, or later. */
void ts_peerapi_serve(struct ts_peerapi_conn *conn,
		      const struct ts_peerapi_request *req);
void ts_peerapi_reply_text(struct ts_peerapi_conn *conn, int status,
			   const char *text);
/* -- peerapi_ingress.c ---------------------------------------------------- */
void ts_peerapi_ingress(struct ts_peerapi_conn *conn,
			const struct ts_peerapi_request *req);
/* -- peerapi_answer.c ----------------------------------------------------- */
void ts_peerapi_reply(struct ts_peerapi_conn *conn, int status,
		      const char *type, const void *body, size_t len);
/* An answer of 200; source is closed when it is said, or cannot be. */
void ts_peerapi_reply_source(struct ts_peerapi_conn *conn, const char *type,
			     const struct ts_peerapi_source *source,
			     void *ctx);
/* -- peerapi_body.c ------------------------------------------------------- */
/* Within a route that takes bodies, in place of an answer, which follows. */
void ts_peerapi_take_body(struct ts_peerapi_conn *conn,
			  const struct ts_peerapi_taker *taker, void *ctx);
/* -- peerapi_server.c ----------------------------------------------------- */
/* It goes on, and taker->turn(), once others had their turn. */
void ts_peerapi_want_turn(struct ts_peerapi_conn *conn);
/* -- peerapi_debug.c: for those who may look inside ----------------------- */
void ts_peerapi_paths(struct ts_peerapi_conn *conn,
		      const struct ts_peerapi_request *req);
void ts_peerapi_metrics(struct ts_peerapi_conn *conn,
			const struct ts_peerapi_request *req);
void ts_peerapi_sockstats(struct ts_peerapi_conn *conn,
			  const struct ts_peerapi_request *req);
void ts_peerapi_interfaces(struct ts_peerapi_conn *conn,
			   const struct ts_peerapi_request *req);
/* -- peerapi_put.c: files (Taildrop) -------------------------------------- */
void ts_peerapi_put(struct ts_peerapi_conn *conn,
		    const struct ts_peerapi_request *req);

/* -- peerapi_conn.c ------------------------------------------------------- */
/* While it serves a request: its connection, which is somebody else's from now
 * on. */
struct stack_tcp *ts_peerapi_hijack(struct ts_peerapi_conn *conn);

#endif
