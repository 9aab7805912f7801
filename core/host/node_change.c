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
#include "core/host/dns_service.h"
#include "core/host/serve.h"
#include "core/host/tls_server.h"

static void fail_conns(const struct ts_member *member)
{
	struct ts_host *host = member->host;
	struct ts_link *at, *next;

	for (at = host->conns.next; at != &host->conns; at = next) {
		struct ts_conn *conn = TS_LINK_OWNER(at, struct ts_conn, link);

		next = at->next; /* it frees its own at most */
		if (conn->member == member && !conn->is_to_dns &&
		    conn->state != CONN_REFUSING)
			ts_conn_fail(conn, -ENETDOWN);
	}
}

void ts_host_leave_node(struct ts_member *member)
{
	ts_inbounds_end(member);
	fail_conns(member);
	ts_serve_end(member);
	ts_splices_close(member);
	ts_tls_server_leave_node(member);
	ts_relays_end(member->host, member);
	ts_dgrams_leave_node(member);
}

void ts_host_enter_node(struct ts_member *member, struct ts_node *node)
{
	member->node = node;
	ts_dns_service_enter_node(member);
	ts_dgrams_enter_node(member);
	ts_host_state_changed(member->host);
}
