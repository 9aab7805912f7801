/* SPDX-License-Identifier: BSD-3-Clause
 * tls_inbound.c - a peer's connection to a listener that has TLS in front of it
 * Source: tsnet/tsnet.go (ListenTLS)
 *
 * The program asked for that with its listener, or the user for its port. It
 * has accepted before the handshake, as with tsnet: a client whose handshake
 * fails is a connection that is reset.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "core/host/tls_conn.h"

struct tls_entries {
	struct ts_host *host;
	struct ts_entry *near, *far; /* far: NULL but for our own programs */
};

bool ts_tls_is_for(const struct ts_member *member, const struct ts_listener *l)
{
	for (size_t i = 0; i < member->tls_port_count; i++)
		if (member->tls_ports[i] == l->tailnet.port)
			return true;
	return l->is_tls;
}

void ts_tls_listened(const struct ts_host *host, const struct ts_listener *l)
{
	if (l->proto != IPPROTO_TCP)
		return;
	for (unsigned i = 0; i < host->member_count; i++) {
		const struct ts_member *member = &host->members[i];

		if (l->servers & 1u << i && member->certs &&
		    member->certs->listened && ts_tls_is_for(member, l))
			member->certs->listened(member->certs_ctx);
	}
}

static void end_entries(const struct tls_entries *e)
{
	ts_entry_end(e->host, e->near, HOST_ENTRY_LINGER_MS);
	ts_entry_end(e->host, e->far, HOST_ENTRY_LINGER_MS);
}

static void on_ended(void *ctx)
{
	end_entries(ctx);
	free(ctx);
}

void ts_tls_inbound_start(struct ts_member *member,
			  const struct ts_addr *remote, struct stack_tcp *tcp,
			  const struct ts_relay_end *ends)
{
	const struct ts_tls_wish wish = {.name = NULL};
	const struct tls_entries entries = {member->host, ends[0].entry,
					    ends[1].entry};
	struct tls_entries *kept = malloc(sizeof(*kept));

	if (!kept) {
		if (tcp)
			stack_tcp_abort(tcp);
		ts_sock_reset(ends[0].fd);
		ts_sock_reset(ends[1].fd);
		end_entries(&entries);
		return;
	}
	*kept = entries;
	ts_tls_join(member, tcp, ends[1].fd, remote, &wish, ends[0].fd,
		    ends[0].entry, on_ended, kept);
}
