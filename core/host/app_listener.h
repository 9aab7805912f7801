/* SPDX-License-Identifier: BSD-3-Clause
 * app_listener.h - what the files about listeners share
 *
 *   app_listener      what programs ask: BIND, BOUND, LISTEN
 *   listener_records  which records there are, and which are in the way
 */
#ifndef CORE_HOST_APP_LISTENER_H
#define CORE_HOST_APP_LISTENER_H

#include "core/host/host_internal.h"
#include "core/host/node_choice.h"

/* An address that is asked for, and by what kind of socket. */
struct ts_listen_place {
	uint8_t proto, shares;
	struct ts_choice by;
	unsigned servers; /* as in struct ts_listener */
	struct ts_addr tailnet;
	struct ts_addr native; /* port 0: not bound yet */
	bool is_v6_only;       /* of a wildcard */
};

/* -- listener_records.c --------------------------------------------------- */
/* Is there a socket at this native address? SO_REUSEADDR looks past what
 * closed connections left behind, but also past sockets that are bound with
 * it and do not listen yet; in UDP past all that are bound with it. */
bool ts_listener_is_bound(const struct ts_host *host, uint8_t proto,
			  const struct ts_addr *native, int reuse);
bool ts_listener_is_alive(const struct ts_host *host,
			  const struct ts_listener *l);
/* The record of that place for one of its nodes, or NULL. */
struct ts_listener *ts_listener_find(const struct ts_host *host,
				     const struct ts_listen_place *p);
/* Another one, at native; its UDP ports are open. NULL: no room. */
struct ts_listener *ts_listener_new(struct ts_host *host,
				    const struct ts_listen_place *p,
				    const struct ts_addr *native);
/* getsockname() of a socket that was bound in the program's stead. 0 or
 * -ENOBUFS. */
int ts_listener_publish(struct ts_host *host, const struct ts_listener *l);
/* Who starts the next host reads there what this one served; a process that
 * waits in accept() cannot tell again. */
void ts_listener_publish_listening(struct ts_host *host,
				   const struct ts_listener *l);
/* Where the native ports are one the kernel has had its say; and it cannot be
 * known whether the record is stale. */
bool ts_listener_is_decided(const struct ts_listener *l,
			    const struct ts_listen_place *p);
/* -EADDRINUSE when a record other than except has part of this address. */
int ts_listener_check_overlap(struct ts_host *host,
			      const struct ts_listen_place *p,
			      const struct ts_listener *except);

#endif
