/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_conn.h - what the files of the PeerAPI's server ask of each other
 *
 *   peerapi_server  which connections there are, how many, how long
 *   peerapi_conn    one of them: a request after the other, and its end
 *   peerapi_body    bodies that are taken as they come
 *   peerapi_answer  what is said, at once or bit by bit
 */
#ifndef CORE_HOST_PEERAPI_CONN_H
#define CORE_HOST_PEERAPI_CONN_H

#include "core/host/peerapi.h"

/* Who has so much to say reads no further request. */
enum { PEERAPI_OUT_LOW = 16 * 1024 };

/* -- peerapi_server.c ----------------------------------------------------- */
struct ts_peerapi {
	struct ts_link conns;
	size_t count;
	struct ts_timer *sweep, *turn;
};

/* -- peerapi_conn.c ------------------------------------------------------- */
extern const struct stack_tcp_ops peerapi_conn_ops;

/* Ends are put off while one of our calls is deep in it. */
void peerapi_conn_end(struct ts_peerapi_conn *conn);
void peerapi_conn_abort(struct ts_peerapi_conn *conn);
void peerapi_conn_set_due(struct ts_peerapi_conn *conn, uint64_t in_ms);
/* Does what there is to do. */
void peerapi_conn_work(struct ts_peerapi_conn *conn);
/* A route goes on with long work. */
void peerapi_conn_take_turn(struct ts_peerapi_conn *conn);

/* -- peerapi_body.c ------------------------------------------------------- */
void peerapi_body_take(struct ts_peerapi_conn *conn);

/* -- peerapi_answer.c ----------------------------------------------------- */
void peerapi_answer_send(struct ts_peerapi_conn *conn);
void peerapi_answer_close_source(struct ts_peerapi_conn *conn);

#endif
