/* SPDX-License-Identifier: BSD-3-Clause
 * serve.h - what a TCP port of the node does
 *
 * A connection of the tailnet to an address of ours goes, as upstream has it,
 *   1. to the PeerAPI, if that is its port;
 *   2. to what the serve configuration says of the port (ts_node_serve());
 *   3. to the program that listens there, perhaps with TLS in between, as the
 *      program said by ts_serve_listen().
 * One to the address of a service that we host knows the second step only, and
 * one from the internet (Funnel) the last two, the third first.
 */
#ifndef CORE_HOST_SERVE_H
#define CORE_HOST_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "netstack/stack.h"

struct ts_host;

/* -- a program's listener that is more than one (serve_listen.c) ----------- */
enum ts_serve_how {
	/* TLS ends here, by the node's certificate for the name that the client
	 * asks for; the program reads and writes plain bytes. */
	TS_SERVE_TLS = 1 << 0,
	/* Connections from the internet come, too. Those are TLS always, so
	 * with TS_SERVE_TLS, or the program does it by itself. */
	TS_SERVE_FUNNEL = 1 << 1,
	/* And no others. */
	TS_SERVE_FUNNEL_ONLY = 1 << 2,
};
/* From now on connections to this port of ours are treated so, when a program
 * listens there (app_listener.h); how 0: as usual again. 0, -EINVAL, -ENOBUFS
 * (too many), -ENOMEM. Whether the node may have Funnel is the caller's
 * question (ts_funnel_check()), as is the AllowFunnel entry of the serve
 * configuration, without which nothing comes from the internet. */
int ts_serve_listen(struct ts_host *host, uint16_t port, unsigned how);
/* 0: nothing was said of it. */
unsigned ts_serve_listens(const struct ts_host *host, uint16_t port);

/* -- connections (serve_server.c) ------------------------------------------- */
int ts_serve_open(struct ts_host *host);
void ts_serve_close(struct ts_host *host); /* aborts what is left */
/* Is this connection one for the serve configuration? Then it is answered, and
 * syn is gone; false: it is untouched. */
bool ts_serve_syn(struct ts_host *host, struct stack_syn *syn,
		  const struct ts_addr *local, const struct ts_addr *remote);

#endif
