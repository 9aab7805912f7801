/* SPDX-License-Identifier: BSD-3-Clause
 * node_change.c - the node is replaced by another one, the programs stay
 *
 * Addresses mean somebody else from now on, so what has an end in the tailnet
 * ends, as it does natively when an interface goes down and comes up elsewhere:
 * connections are reset, connects that are under way fail with ENETDOWN, flows
 * of datagrams are forgotten. A connected datagram socket gets an error at its
 * next send, as its far end is not the one it chose. What programs have
 * registered stays: ports are opened in the new node's stack, and serve as soon
 * as that is up. Questions to our name server wait for the new netmap.
 */
#include <errno.h>

#include "core/host/app_connect.h"
#include "core/host/app_datagram.h"
#include "core/host/serve.h"

static void fail_conns(struct ts_host *host)
{
	struct ts_link *at, *next;

	for (at = host->conns.next; at != &host->conns; at = next) {
		struct ts_conn *conn = TS_LINK_OWNER(at, struct ts_conn, link);

		next = at->next; /* it frees its own at most */
		if (conn->state != CONN_REFUSING && !conn->is_to_dns)
			ts_conn_fail(conn, -ENETDOWN);
	}
}

void ts_host_leave_node(struct ts_host *host)
{
	ts_inbounds_end(host);
	fail_conns(host);
	ts_serve_end(host);
	ts_splices_close(host);
	ts_relays_close(host);
	ts_dgrams_leave_node(host);
}

void ts_host_enter_node(struct ts_host *host, struct ts_node *node)
{
	host->node = node;
	ts_dgrams_enter_node(host);
	ts_host_state_changed(host);
}
