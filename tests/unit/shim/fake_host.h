/* SPDX-License-Identifier: BSD-3-Clause
 * fake_host.h - a host without a tailnet, for the shim's tests
 *
 * A real broker socket, a real address table and a real rendezvous (a listener
 * whose queue is full), in a child process with a thread per request. What
 * happens to a connect is told by its tailnet port.
 */
#ifndef TESTS_UNIT_SHIM_FAKE_HOST_H
#define TESTS_UNIT_SHIM_FAKE_HOST_H

#include <sys/types.h>

#include "core/broker/address_table.h"

enum fake_port {
	FAKE_ECHO = 7,
	FAKE_DNS = 53,     /* echoes, too */
	FAKE_REFUSED = 1,  /* held, then ECONNREFUSED */
	FAKE_NO_ROUTE = 2, /* held, then EHOSTUNREACH */
	FAKE_NO_PEER = 4,  /* ENETUNREACH at once */
	FAKE_HELD = 9,     /* for ever */
	/* A LISTEN on these is answered by connections: */
	FAKE_LISTEN = 8080,    /* a peer */
	FAKE_STRANGERS = 8081, /* one from R's port, a local one, a peer */
	FAKE_TAKEN = 8082,     /* EADDRINUSE */
	/* Of datagrams: FAKE_ECHO, FAKE_REFUSED, FAKE_NO_PEER, FAKE_LISTEN and
	 */
	FAKE_COUNT = 11,  /* how many SEND requests there were, as text */
	FAKE_FORGET = 12, /* an echo, and then the flow's entries are gone */
};

#define FAKE_OWN "100.64.0.5"
#define FAKE_OWN6 "fd7a:115c:a1e0::5"
#define FAKE_PEER "100.64.0.1"
#define FAKE_PEER6 "fd7a:115c:a1e0::1"
#define FAKE_ROUTED "10.9.8.7"
#define FAKE_RESOLVER "127.0.0.53"
#define FAKE_SUFFIX "tail1.ts.net"
#define FAKE_OTHER_SUFFIX "corp.example" /* of Headscale: not .ts.net */
#define FAKE_REMOTE "100.64.0.9:4444" /* who connects to listeners */

struct fake_host {
	pid_t pid;
	char path[TS_TABLE_PATH_CAP], abstract[TS_TABLE_PATH_CAP];
};

/* 0 or -1. Sockets lie in dir. */
int fake_host_start(struct fake_host *host, const char *dir,
		    enum ts_listen_mode listen);
void fake_host_stop(struct fake_host *host);

#endif
