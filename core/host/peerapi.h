/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi.h - the small HTTP server that peers know each other by
 *
 * At our own tailnet addresses, inside the tunnel alone: no socket of this
 * machine listens. Served are "/" and, for those who may use us as an exit
 * node, names ("/dns-query").
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
};

struct ts_peerapi;

struct ts_peerapi_conn {
	struct ts_link link; /* in peerapi->conns */
	struct ts_member *member;
	struct stack_tcp *tcp;
	struct ts_addr remote;
	int64_t peer_id;
	struct ts_byte_queue in, out;
	bool is_up, is_busy; /* busy: a request is being answered */
	bool closes; /* when out is empty */
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

/* -- peerapi_routes.c ------------------------------------------------------ */
/* Answers now, or later. */
void ts_peerapi_serve(struct ts_peerapi_conn *conn,
		      const struct ts_peerapi_request *req);
/* -- peerapi_ingress.c ------------------------------------------------------ */
void ts_peerapi_ingress(struct ts_peerapi_conn *conn,
			const struct ts_peerapi_request *req);
/* -- peerapi_server.c ------------------------------------------------------ */
void ts_peerapi_reply(struct ts_peerapi_conn *conn, int status,
		      const char *type, const void *body, size_t len);

/* While it serves a request: its connection, which is somebody else's from now
 * on. */
struct stack_tcp *ts_peerapi_hijack(struct ts_peerapi_conn *conn);

#endif
