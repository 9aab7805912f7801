/* SPDX-License-Identifier: BSD-3-Clause
 * app_inbound.h - struct ts_inbound, and what its files ask of each other
 *
 *   app_inbound     begin, the far end, ACCEPTED, the end
 *   inbound_native  our native connection to the program's listener
 */
#ifndef CORE_HOST_APP_INBOUND_H
#define CORE_HOST_APP_INBOUND_H

#include "core/host/host_internal.h"

struct ts_inbound {
	struct ts_link link; /* in host->inbounds */
	struct ts_host *host;
	struct ts_member *member; /* whose tailnet it comes from */
	uint64_t id;
	struct ts_addr local, remote; /* in the tailnet */
	struct ts_addr native;	      /* the listener's, as registered */
	int fd;			      /* ours, to the listener */
	struct ts_watch *watch;	      /* while connecting */
	struct ts_hup_item hup;	      /* afterwards */
	struct ts_entry *entry;
	/* The program says first whether it wants the connection; which of the
	 * fallbacks that is (an id), else 0. */
	bool asks_first;
	uint64_t fallback_id;
	enum ts_funnel refused; /* listeners of that kind are nothing for it */
	bool is_answered, is_far_end_up, is_accepted;
	bool is_public; /* from the internet */
	bool is_tls;	/* TLS is ended on the way */
	bool has_ended; /* the listener's side, without an error */
	uint64_t look_ms, look_at_ms; /* is the listener's side still there? */
	/* A peer: syn until it was answered, tcp from then on. */
	struct stack_syn *syn;
	struct stack_tcp *tcp;
	/* A program here: conn until it was released, from then on far_fd. */
	struct ts_conn *conn;
	int far_fd;
	struct ts_entry *far_entry;
	struct ts_hup_item far_hup;
};

/* -- app_inbound.c -------------------------------------------------------- */
/* Ends both sides and frees in. */
void ts_inbound_fail(struct ts_inbound *in, int err);
/* To the far end: we are here. in may be gone afterwards. */
void ts_inbound_answer(struct ts_inbound *in);

/* -- inbound_native.c ----------------------------------------------------- */
/* Whose connection it is when nobody but programs listens there, or NULL.
 * asked: the last fallback that was, or 0. */
const struct ts_listener *ts_inbound_taker(const struct ts_member *member,
					   const struct ts_addr *local,
					   uint64_t asked);
void ts_inbound_goes_to(struct ts_inbound *in, const struct ts_listener *l);
/* Begins the connection to in->native, or to the next listener's. 0 or -errno:
 * in is not freed. */
int ts_inbound_connect(struct ts_inbound *in);
/* Until it stands. 0 or -ENOMEM. */
int ts_inbound_await(struct ts_inbound *in);
/* It stands: the listener's queue has it. in may be gone afterwards. */
void ts_inbound_is_queued(struct ts_inbound *in);

#endif
