/* SPDX-License-Identifier: BSD-3-Clause
 * node_choice.h - which of the host's nodes has a connection, or a listener
 */
#ifndef CORE_HOST_NODE_CHOICE_H
#define CORE_HOST_NODE_CHOICE_H

#include "core/host/host_internal.h"

/* What a socket says of it. */
struct ts_choice {
	uint8_t node;       /* as in struct ts_broker_request */
	uint8_t interface;  /* tied to it: 0: to none, else 1 + whose */
	struct ts_ip bound; /* in the tailnet; unspecified: not bound */
};

/* What a request says of its socket. */
struct ts_choice ts_choice_of(const struct ts_host *host,
			      const struct ts_broker_request *req);
/* The member that is named, or NULL: the rules say. */
struct ts_member *ts_choose_named(struct ts_host *host, uint8_t node);
/* Whose traffic to ip this is: never NULL. It may not be up, or may not know
 * the address: what then becomes of the traffic is its word. */
struct ts_member *ts_choose(struct ts_host *host, const struct ts_choice *by,
			    const struct ts_ip *ip);
/* Whose `destinations` have this name; NULL: nobody's. */
struct ts_member *ts_choose_for_name(struct ts_host *host, const char *name);
/* The members that serve a listener, as bits; port is the tailnet's. */
unsigned ts_choose_servers(const struct ts_host *host,
			   const struct ts_choice *by, uint16_t port);
/* The one whose exit node has what nobody else knows; NULL: none. */
const struct ts_member *ts_choose_exit(const struct ts_member *members,
				       unsigned count);
/* What fd is tied to (0: nothing of ours, or no socket). */
uint8_t ts_choice_interface(int fd);
/* Has it this address in its tailnet? */
bool ts_choice_knows(const struct ts_member *member, const struct ts_ip *ip);
/* May this member have the address of a name that it knows, or would the rules
 * send it elsewhere? */
bool ts_choice_is_own(struct ts_host *host, const struct ts_member *member,
		      const struct ts_ip *ip);

#endif
