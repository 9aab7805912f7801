/* SPDX-License-Identifier: BSD-3-Clause
 * app_connect.h - an outgoing connection that is not joined yet
 *
 * connect_request.c makes them and looks for those whose program is gone;
 * app_connect.c moves them; app_dial.c has the far end.
 */
#ifndef CORE_HOST_APP_CONNECT_H
#define CORE_HOST_APP_CONNECT_H

#include "core/host/node_choice.h"
#include "core/host/stand_ins.h"

enum {
	CONN_LOOK_FIRST_MS = 1, /* then doubled: has it knocked at R? */
	CONN_WATCH_MS = 5, /* before that the far end has mostly answered */
};

enum conn_state {
	CONN_WAITING,	/* the node is not running yet */
	CONN_DIALLING,	/* the far end is asked */
	CONN_RELEASING, /* far end is up, ours is to be connected back */
	CONN_JOINING,	/* back_fd is on its way */
	CONN_REFUSING,	/* failed; told once the socket is held */
};

struct ts_conn {
	struct ts_link link; /* in host->conns */
	struct ts_host *host;
	struct ts_choice by;
	struct ts_stand_in *stand_in; /* that the program called; or NULL */
	struct ts_member *member; /* through whom: chosen when it is dialled */
	uint64_t id;
	enum conn_state state;
	struct ts_addr dest; /* in the tailnet */
	struct ts_flow_key key;
	struct ts_entry *entry; /* NULL: turned away */
	int dup_fd;  /* the program's open file */
	int back_fd; /* ours, -1 before RELEASING */
	struct ts_watch *back_watch;
	struct ts_hup_item hup; /* on dup_fd, once it was held */
	struct ts_timer *timer;
	uint64_t started_ms, look_ms;
	bool was_held; /* SYN_SENT was seen */
	bool is_paced; /* paced_ms is what ts_held_pace() said */
	int paced_ms;
	int join_tries;
	pid_t pid;
	struct stack_tcp *tcp;	    /* to a peer */
	struct ts_inbound *inbound; /* to an own address */
	bool is_to_dns;		    /* to the host's own name server */
};

/* Takes fd, in every case. NULL: out of memory. */
struct ts_conn *ts_conn_new(struct ts_host *host,
			    const struct ts_broker_request *req, int fd,
			    pid_t pid);
/* Goes as far as the node's state allows: 0, or what to tell the program.
 * *local: its tailnet end, when known. */
int ts_conn_begin(struct ts_conn *conn, struct ts_addr *local);
void ts_conn_set_state(struct ts_conn *conn, enum conn_state next);
/* Looks at the program's socket and takes the step that is possible. */
void ts_conn_advance(struct ts_conn *conn);
/* Tells the program once its socket is held, err by the table. */
void ts_conn_fail(struct ts_conn *conn, int err);
/* Refused in the reply to CONNECT: without a trace. */
void ts_conn_discard(struct ts_conn *conn);
/* The program gave up: nobody is there to be told. */
void ts_conn_abandon(struct ts_conn *conn);
/* The host ends: ENETDOWN. */
void ts_conn_close(struct ts_conn *conn);

#endif
