/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_refuse.c - "port unreachable", in both directions
 *
 * To the program: D is connected to itself for a moment, so the kernel answers
 * what the program sends there with ICMP port unreachable, which is
 * ECONNREFUSED. To tell at once, even to a program that waits for an answer,
 * an empty datagram is sent on a duplicate of its own socket. (Closing D
 * instead would free its address, and a stranger could take it.) Without the
 * duplicate the program's next send is refused. While nobody has the remote
 * address D stays closed. A flow of W belongs to a
 * socket that would not hear of ICMP natively either.
 *
 * The duplicate keeps the program's socket and its port alive when the program
 * closes it: datagram_sweep.c says how long we have it.
 *
 * To the far end: a program's socket that is gone is a closed port.
 */
#include <errno.h>
#include <sys/socket.h>

#include "core/base/err.h"
#include "core/host/app_datagram.h"

enum {
	TOLD_MS = 20,	  /* for the kernel to deliver the news */
	UNTOLD_MS = 2000, /* for the program to send again */
};

void ts_dgram_drop_dup(struct ts_dgram *flow)
{
	if (flow->dup_fd < 0)
		return;
	ts_sock_close(flow->dup_fd);
	flow->dup_fd = -1;
	flow->host->dgrams->dup_count--;
}

/* Where the program may have taken its socket to by now, an empty datagram has
 * no business. */
static bool is_still_here(const struct ts_dgram *flow)
{
	struct ts_addr peer;

	return flow->dup_fd >= 0 &&
	       (!flow->is_connected ||
		(ts_sock_peer(flow->dup_fd, &peer) == 0 &&
		 ts_addr_equal(&peer, &flow->virtual)));
}

/* An earlier error that the program has not seen yet comes first, and is not
 * lost: the second try makes it anew. */
static bool poke(const struct ts_dgram *flow)
{
	struct sockaddr_storage ss;
	int domain = AF_INET, len;
	socklen_t domain_len = sizeof(domain);

	if (!is_still_here(flow) ||
	    getsockopt(flow->dup_fd, SOL_SOCKET, SO_DOMAIN, &domain,
		       &domain_len))
		return false;
	len = ts_addr_to_sockaddr(&flow->virtual, domain, &ss);
	for (int i = 0; i < 2 && len > 0; i++)
		if (sendto(flow->dup_fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL,
			   (struct sockaddr *)&ss, (socklen_t)len) == 0)
			return true;
	return false;
}

static void close_until(struct ts_dgram *flow, uint64_t until_ms)
{
	struct ts_dgrams *all = flow->host->dgrams;
	struct ts_link *at = &all->closed;

	flow->closed_until_ms = until_ms;
	ts_list_remove(&flow->closed_link);
	while (at->prev != &all->closed &&
	       TS_LINK_OWNER(at->prev, struct ts_dgram, closed_link)
			       ->closed_until_ms > flow->closed_until_ms)
		at = at->prev;
	ts_list_insert(at, &flow->closed_link);
	ts_timer_set(all->reopen,
		     TS_LINK_OWNER(all->closed.next, struct ts_dgram,
				   closed_link)->closed_until_ms);
}

void ts_dgram_refuse(struct ts_dgram *flow, int err)
{
	if (flow->is_over || flow->fd < 0 || flow->closed_until_ms)
		return;
	log_debug("datagram-%llu: refused: %s", (unsigned long long)flow->id,
		  ts_strerror(err));
	ts_dgram_flush(flow->host);
	if (ts_sock_connect(flow->fd, &flow->virtual))
		return;
	close_until(flow, ts_host_now_ms(flow->host) +
				  (poke(flow) ? TOLD_MS : UNTOLD_MS));
}

void ts_dgram_shut(struct ts_dgram *flow)
{
	if (flow->is_over || flow->fd < 0)
		return;
	ts_dgram_flush(flow->host);
	if (ts_sock_connect(flow->fd, &flow->virtual) == 0)
		close_until(flow, UINT64_MAX);
}

void ts_dgram_reopen(struct ts_dgram *flow)
{
	flow->closed_until_ms = 0;
	ts_list_remove(&flow->closed_link);
	ts_dgram_socket_join(flow);
}

void ts_dgram_reopen_due(void *ctx)
{
	struct ts_host *host = ctx;
	struct ts_link *closed = &host->dgrams->closed;

	while (!ts_list_is_empty(closed)) {
		struct ts_dgram *flow = TS_LINK_OWNER(
			closed->next, struct ts_dgram, closed_link);

		if (flow->closed_until_ms > ts_host_now_ms(host)) {
			ts_timer_set(host->dgrams->reopen,
				     flow->closed_until_ms);
			return;
		}
		ts_dgram_reopen(flow);
	}
}

void ts_dgram_program_gone(struct ts_dgram *flow)
{
	struct ts_host *host = flow->host;
	struct ts_dgram *sender;

	if (flow->is_over)
		return;
	log_debug("datagram-%llu: nobody takes its datagrams any more",
		  (unsigned long long)flow->id);
	if (flow->route == DGRAM_PEER && flow->port && flow->port->udp)
		stack_udp_refuse(flow->port->udp, &flow->remote, &flow->local,
				 NULL, 0);
	sender = flow->route == DGRAM_SELF
			 ? ts_dgram_first(flow->member, flow->remote.port,
					  &flow->local)
			 : NULL;
	if (!flow->is_connected)
		ts_listener_refused(host, IPPROTO_UDP, &flow->native);
	ts_dgram_end(flow);
	if (sender)
		ts_dgram_refuse(sender, -ECONNREFUSED);
}
