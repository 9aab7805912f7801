/* SPDX-License-Identifier: BSD-3-Clause
 * serve.h - what a TCP port of the node does
 *
 * A connection of the tailnet to an address of ours goes, as upstream has it,
 *   1. to the PeerAPI, if that is its port;
 *   2. to what the serve configuration says of the port (ts_node_serve());
 *   3. to the program that listens there (app_inbound.c).
 * One to the address of a service that we host knows the second step only. One
 * from the internet (Funnel) comes through the PeerAPI of ours; it goes to the
 * program first, if its listener takes such ones (TS_BROKER_FUNNEL in LISTEN),
 * else to the serve configuration. Nothing comes from the internet without an
 * entry of AllowFunnel in that (core/serve/funnel_rule.h).
 */
#ifndef CORE_HOST_SERVE_H
#define CORE_HOST_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "netstack/stack.h"

struct ts_host;

/* -- connections (serve_server.c) ----------------------------------------- */
int ts_serve_open(struct ts_member *member);
void ts_serve_close(struct ts_member *member); /* aborts what is left */
/* All there are now: the node is about to be another. */
void ts_serve_end(struct ts_member *member);
/* false: it was none of ours. */
bool ts_serve_syn_gone(struct ts_member *member, const struct stack_syn *syn);
/* Bytes of answers that clients have not got yet (to drain at exit). */
size_t ts_serve_undelivered(const struct ts_host *host);
/* Is it the address of a service that we host? */
bool ts_serve_hosts(const struct ts_member *member, const struct ts_ip *ip);
/* Is this connection one for the serve configuration? Then it is answered, and
 * syn is gone; false: it is untouched. */
bool ts_serve_syn(struct ts_member *member, struct stack_syn *syn,
		  const struct ts_addr *local, const struct ts_addr *remote);

/* Does the serve configuration have this address of ours? */
bool ts_serve_has(const struct ts_member *member, const struct ts_addr *local);
/* Then this is a program of the node itself that calls it; takes fd. */
void ts_serve_local(struct ts_member *member, int fd,
		    const struct ts_addr *local, const struct ts_addr *remote);

/* -- from the internet (serve_funnel.c) ----------------------------------- */
/* "host:port", as an ingress names it. */
struct ts_serve_funnel {
	const char *target;
	uint16_t port;
	struct ts_addr src; /* who is calling */
	struct ts_ip peer;  /* who brings it */
};
/* May it come, and is there somebody for it? */
bool ts_serve_takes_funnel(const struct ts_member *member,
			   const struct ts_serve_funnel *funnel);
/* Then here it is: the client's bytes, which are TLS. Takes up. */
void ts_serve_funnel(struct ts_member *member, struct stack_tcp *up,
		     const struct ts_serve_funnel *funnel);

#endif
