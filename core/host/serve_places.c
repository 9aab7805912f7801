/* SPDX-License-Identifier: BSD-3-Clause
 * serve_places.c - how many connections the node's own servers take
 *
 * A place is held from the first packet to the last, also while what is behind
 * is being called: a backend that keeps silent must not cost more descriptors
 * than one that answers. Each peer has its share. What an ingress brings shares
 * that of the ingress, and there each caller has one, so that nobody of the
 * internet keeps the others out.
 */
#include <sys/resource.h>

#include "core/host/serve_internal.h"

static bool is_of_ingress(const struct serve_place *place)
{
	return !ts_ip_equal(&place->peer, &place->caller);
}

static bool is_same_caller(const struct serve_place *a,
			   const struct serve_place *b)
{
	return is_of_ingress(a) && is_of_ingress(b) &&
	       ts_ip_is_same_caller(&a->caller, &b->caller);
}

bool serve_place_take(struct ts_serve *serve, struct serve_place *place,
		      const struct ts_ip *peer, const struct ts_ip *caller)
{
	size_t of_peer = 0, of_caller = 0;

	*place = (struct serve_place){.peer = *peer, .caller = *caller};
	ts_list_init(&place->link);
	if (serve->count >= serve->count_max)
		return false;
	for (const struct ts_link *at = serve->places.next;
	     at != &serve->places; at = at->next) {
		const struct serve_place *other =
			TS_LINK_OWNER(at, const struct serve_place, link);

		of_peer += ts_ip_equal(&other->peer, peer);
		of_caller += is_same_caller(other, place);
	}
	if (of_peer >= SERVE_CONNS_EACH || of_caller >= SERVE_CONNS_CALLER)
		return false;
	ts_list_insert(&serve->places, &place->link);
	serve->count++;
	return true;
}

void serve_place_leave(struct ts_serve *serve, struct serve_place *place)
{
	if (place->link.next == &place->link)
		return;
	ts_list_remove(&place->link);
	serve->count--;
}

/* All connections at once must not take what programs need. */
size_t serve_places_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur / 8 < SERVE_CONNS_MAX)
		return limit.rlim_cur / 8;
	return SERVE_CONNS_MAX;
}
