/* SPDX-License-Identifier: BSD-3-Clause
 * disco_search.c - looking for a way to one peer
 *
 * Pings to all its candidates, with a CallMeMaybe; peer relays; and what the
 * peer's own search asks of us. What an answer changes is disco_peer.c's.
 */
#include "core/path/disco_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- candidates ----------------------------------------------------------- */

/* After some were removed: the path in use goes with its candidate. */
static void follow_candidates(struct ts_disco_peer *p)
{
	if (ts_path_addr_is_direct(&p->best.to) &&
	    !ts_disco_candidates_find(&p->candidates, &p->best.to))
		ts_disco_clear_best(p);
}

static void prune(struct ts_disco_peer *p, uint64_t now_ms)
{
	ts_disco_candidates_prune(&p->candidates, now_ms);
	follow_candidates(p);
}

/* is_told: by netmap or peer. NULL: no room, or direct paths are switched off.
 */
static struct ts_disco_candidate *
find_or_add_candidate(struct ts_disco_peer *p, const struct ts_addr *addr,
		      bool is_told, uint64_t now_ms)
{
	struct ts_path_addr to = {.addr = *addr};
	struct ts_disco_candidate *c =
		ts_disco_candidates_find(&p->candidates, &to);

	if (c || p->derp_only)
		return c;
	p->discovery_due_ms = 0;
	if (is_told)
		ts_disco_candidates_make_room(&p->candidates, &p->best.to);
	c = ts_disco_candidates_add(&p->candidates, &to, now_ms);
	if (c && p->ops->candidate_added)
		p->ops->candidate_added(p->ctx, &to);
	follow_candidates(p);
	return c;
}

void ts_disco_peer_set_endpoints(struct ts_disco_peer *p,
				 const struct ts_addr *addrs, size_t count,
				 uint64_t now_ms)
{
	for (size_t i = 0; i < p->candidates.count; i++)
		p->candidates.at[i].is_in_netmap = false;
	for (size_t i = 0; i < count && i < DISCO_ENDPOINTS_MAX; i++) {
		struct ts_disco_candidate *c = NULL;

		if (ts_path_is_pingable(&addrs[i]))
			c = find_or_add_candidate(p, &addrs[i], true, now_ms);
		if (c)
			c->is_in_netmap = true;
	}
	prune(p, now_ms);
}

/* -- pings ---------------------------------------------------------------- */

void ts_disco_end_ping(struct ts_disco_peer *p, struct ts_disco_sent *ping,
		       struct ts_disco_probe *over)
{
	free(ping);
	if (over)
		p->ops->probe_done(p->ctx, over);
}

void ts_disco_start_sized_ping(struct ts_disco_peer *p,
			       const struct ts_path_addr *to, size_t wire,
			       struct ts_disco_probe *probe, uint64_t now_ms)
{
	struct ts_disco_sent *ping;

	if (to && p->derp_only) /* since a moment ago */
		return;
	ping = ts_disco_pings_add(&p->pings, to, wire, probe, now_ms);
	if (ping)
		p->ops->send_ping(p->ctx, to, ping->tx_id, wire);
	else
		p->dropped_pings++;
}

void ts_disco_start_ping(struct ts_disco_peer *p, const struct ts_path_addr *to,
			 struct ts_disco_probe *probe, uint64_t now_ms)
{
	ts_disco_start_sized_ping(p, to, 0, probe, now_ms);
}

void ts_disco_ping_candidate(struct ts_disco_peer *p,
			     struct ts_disco_candidate *c, uint64_t now_ms)
{
	c->pinged_ms = now_ms;
	c->ping_due_ms = now_ms + DISCO_PING_INTERVAL_MS;
	ts_disco_start_ping(p, &c->to, NULL, now_ms);
}

/* The peer may have to open its own door first, and ours: that takes a call
 * through DERP, which may come later than our pings. */
static void plan_repeat(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (p->search_until_ms == 0)
		p->search_until_ms = now_ms + DISCO_SEARCH_MS;
	if (ts_disco_has_direct(p, now_ms) || now_ms >= p->search_until_ms)
		return;
	p->repeat_ms = now_ms + DISCO_REPEAT_MS;
	p->is_last_repeat = false;
}

void ts_disco_repeat_pings(struct ts_disco_peer *p, uint64_t now_ms)
{
	p->repeat_ms = UINT64_MAX;
	if (ts_disco_has_direct(p, now_ms))
		return;
	for (size_t i = 0; i < p->candidates.count; i++)
		ts_disco_start_ping(p, &p->candidates.at[i].to, NULL, now_ms);
	if (!p->is_last_repeat)
		p->repeat_ms = now_ms + DISCO_REPEAT_LAST_MS;
	p->is_last_repeat = true;
}

static void call(struct ts_disco_peer *p, uint64_t now_ms)
{
	p->called_ms = now_ms;
	p->ops->send_call_me_maybe(p->ctx);
}

void ts_disco_discover(struct ts_disco_peer *p, bool call_me_maybe,
		       uint64_t now_ms)
{
	uint64_t due_ms = UINT64_MAX;
	bool sent = false;

	if (p->derp_only || now_ms < p->discovery_due_ms)
		return;
	prune(p, now_ms);
	p->full_ping_due_ms = now_ms + DISCO_UPGRADE_INTERVAL_MS;
	for (size_t i = 0; i < p->candidates.count; i++) {
		struct ts_disco_candidate *c = &p->candidates.at[i];

		if (c->ping_due_ms <= now_ms) {
			ts_disco_ping_candidate(p, c, now_ms);
			sent = true;
		}
		if (c->ping_due_ms < due_ms)
			due_ms = c->ping_due_ms;
	}
	p->discovery_due_ms = due_ms;
	if (!sent)
		return;
	plan_repeat(p, now_ms);
	if (call_me_maybe)
		call(p, now_ms);
}

void ts_disco_search(struct ts_disco_peer *p, bool call_me_maybe,
		     uint64_t now_ms)
{
	ts_disco_candidates_due(&p->candidates);
	p->discovery_due_ms = 0;
	ts_disco_discover(p, call_me_maybe, now_ms);
}

/* Not for a good enough latency, as with direct paths: a peer that knows no
 * relay of its own stays on one only as long as we ask. */
static bool wants_relays(const struct ts_disco_peer *p, uint64_t now_ms)
{
	bool is_trusted = ts_disco_peer_is_trusted(p, now_ms);

	if (!p->may_relay || p->derp_only || ts_disco_has_direct(p, now_ms))
		return false;
	if (p->relays_asked_ms == 0)
		return !is_trusted;
	return now_ms >=
	       p->relays_asked_ms + (is_trusted ? DISCO_RELAY_UPGRADE_MS
						: DISCO_RELAY_INTERVAL_MS);
}

void ts_disco_discover_relays(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (wants_relays(p, now_ms) && p->ops->discover_relays(p->ctx))
		p->relays_asked_ms = now_ms;
}

/* -- the peer's search ---------------------------------------------------- */

static bool may_pong(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (!p->has_pongs)
		ts_token_bucket_init(&p->pongs, DISCO_PONGS_PER_S,
				     DISCO_PONGS_BURST, now_ms);
	p->has_pongs = true;
	if (ts_token_bucket_take(&p->pongs, 1, now_ms))
		return true;
	p->dropped_pongs++;
	return false;
}

bool ts_disco_peer_got_ping(struct ts_disco_peer *p,
			    const struct ts_path_addr *from,
			    const uint8_t tx_id[static DISCO_TX_ID_LEN],
			    uint64_t now_ms)
{
	struct ts_disco_candidate *c = NULL;

	/* A relayed path is not a candidate: it needs its own handshake. */
	if (from && from->vni == 0)
		c = find_or_add_candidate(p, &from->addr, false, now_ms);
	if (c && c->was_heard &&
	    memcmp(c->heard_tx_id, tx_id, DISCO_TX_ID_LEN) == 0)
		return false; /* a duplicate */
	if (c) {
		c->was_heard = true;
		c->heard_ms = now_ms;
		memcpy(c->heard_tx_id, tx_id, DISCO_TX_ID_LEN);
	}
	if (!may_pong(p, now_ms))
		return false;
	if (c && !ts_disco_has_direct(p, now_ms) &&
	    now_ms >= c->pinged_ms + DISCO_PING_BACK_MS)
		ts_disco_ping_candidate(p, c, now_ms);
	return true;
}

void ts_disco_peer_got_call_me_maybe(struct ts_disco_peer *p,
				     const struct ts_disco_endpoints *endpoints,
				     uint64_t now_ms)
{
	size_t before = p->candidates.count;

	for (size_t i = 0; i < before; i++)
		p->candidates.at[i].is_call_me_maybe = false;
	for (size_t i = 0; i < endpoints->count; i++) {
		struct ts_disco_candidate *c = NULL;

		if (ts_path_is_pingable(&endpoints->addrs[i]))
			c = find_or_add_candidate(p, &endpoints->addrs[i],
						  true, now_ms);
		if (c)
			c->is_call_me_maybe = true;
	}
	/* Addresses that are new are worth a new search. */
	if (p->candidates.count != before)
		p->search_until_ms = 0;
	/* Its firewall is open for us this moment: ping without waiting. */
	ts_disco_search(p, false, now_ms);
	/* It looks for us, and may know other relays than we do. */
	ts_disco_discover_relays(p, now_ms);
}

/* -- probes --------------------------------------------------------------- */

/* A message of size bytes, or the shortest. */
static void probe_by(struct ts_disco_peer *p, const struct ts_path_addr *to,
		     size_t size, struct ts_disco_probe *probe, uint64_t now_ms)
{
	size_t wire = size;

	if (size != 0 && to)
		wire = ts_path_mtu_wire(size, !ts_ip_is_v4(&to->addr.ip));
	ts_disco_start_sized_ping(p, to, wire, probe, now_ms);
}

int ts_disco_peer_probe(struct ts_disco_peer *p, bool has_derp, size_t size,
			ts_disco_probe_fn fn, void *fn_ctx, uint64_t now_ms)
{
	struct ts_disco_probe *probe = calloc(1, sizeof(*probe));
	bool is_trusted = ts_disco_peer_is_trusted(p, now_ms);

	if (!probe)
		return -ENOMEM;
	probe->fn = fn;
	probe->fn_ctx = fn_ctx;
	/* A packet would take the trusted path alone, and so does the ping; it
	 * is to end the trust when it gets no answer, unless it may be too
	 * large. */
	if (is_trusted)
		probe_by(p, &p->best.to, size, probe, now_ms);
	else if (has_derp)
		probe_by(p, NULL, size, probe, now_ms);
	if (is_trusted && size == 0 && p->doubt.end_ms == UINT64_MAX)
		ts_path_doubt_asked(&p->doubt, p->best.latency_us, now_ms);
	/* Of several addresses in one network any may answer first: where a
	 * direct path is in use the others are not asked. */
	if (!ts_disco_has_direct(p, now_ms)) {
		for (size_t i = 0; i < p->candidates.count; i++)
			probe_by(p, &p->candidates.at[i].to, size, probe,
				 now_ms);
		ts_disco_discover_relays(p, now_ms);
	}
	if (probe->pings == 0) {
		free(probe);
		return -EHOSTUNREACH;
	}
	return 0;
}
