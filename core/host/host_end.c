/* SPDX-License-Identifier: BSD-3-Clause
 * host_end.c - what is still on its way when the host is to end
 *
 * Whoever ends it (core/engine/engine_end.c, drain.c) asks what programs have
 * sent and peers have not got yet, and waits for that as long as it likes.
 */
#include <unistd.h>

#include "core/host/app_splice.h"
#include "core/host/serve.h"
#include "core/host/tls_server.h"

static bool is_of_another(const struct ts_splice *s)
{
	return s->entry && s->entry->pid != 0 && s->entry->pid != getpid();
}

bool ts_host_serves_others(const struct ts_host *host)
{
	for (const struct ts_link *at = host->splices.next;
	     at != &host->splices; at = at->next)
		if (is_of_another(TS_LINK_OWNER(at, struct ts_splice, link)))
			return true;
	return ts_conns_are_held_for_others(host);
}

void ts_host_take_no_more(struct ts_host *host)
{
	host->is_ending = true;
}

/* Our process ends its own; what another one still writes would be cut off, and
 * look whole to the peer. That one is reset when the host is closed. */
void ts_host_finish(struct ts_host *host)
{
	struct ts_link *at, *next;

	for (at = host->splices.next; at != &host->splices; at = next) {
		struct ts_splice *s = TS_LINK_OWNER(at, struct ts_splice, link);

		next = at->next; /* it frees itself at most */
		if (!is_of_another(s))
			ts_splice_finish(s);
	}
	ts_tls_joins_finish(host);
}

/* The program's side has ended in order and the peer's has not yet. */
bool ts_host_is_lingering(const struct ts_host *host)
{
	for (const struct ts_link *at = host->splices.next;
	     at != &host->splices; at = at->next)
		if (TS_LINK_OWNER(at, struct ts_splice, link)->is_up_done)
			return true;
	return ts_tls_joins_linger(host);
}

size_t ts_host_undelivered(const struct ts_host *host)
{
	size_t total = ts_relays_undelivered(host) +
		       ts_inbounds_undelivered(host) +
		       ts_dgrams_undelivered(host) +
		       ts_tls_undelivered(host) +
		       ts_tls_joins_undelivered(host) +
		       ts_serve_undelivered(host);

	for (unsigned i = 0; i < host->member_count; i++)
		total += ts_node_unsent(host->members[i].node,
					ts_host_now_ms(host));
	for (const struct ts_link *at = host->splices.next;
	     at != &host->splices; at = at->next) {
		const struct ts_splice *s =
			TS_LINK_OWNER(at, struct ts_splice, link);

		total += s->rest_len + ts_sock_unread(s->fd);
		if (s->tcp)
			total += stack_tcp_pending(s->tcp);
	}
	return total;
}
