/* SPDX-License-Identifier: BSD-3-Clause
 * disco_peer.c - find and keep the best direct path to one peer
 *
 * In: opened disco messages, outbound traffic, now_ms. Out: messages to send
 * (ops), a deadline. Owns: its candidates (disco_candidates.c), its pings
 * (disco_pings.c) and its doubts (path_doubt.c). How a path is looked for is in
 * disco_search.c.
 */
#include "core/path/disco_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- best path ------------------------------------------------------------ */

size_t ts_disco_peer_mtu(const struct ts_disco_peer *p)
{
	return ts_path_mtu_inner(p->mtu.wire,
				 !ts_ip_is_v4(&p->best.to.addr.ip));
}

static void forget_mtu(struct ts_disco_peer *p)
{
	size_t before = ts_disco_peer_mtu(p);

	ts_path_mtu_reset(&p->mtu);
	if (ts_disco_peer_mtu(p) != before)
		p->ops->mtu_changed(p->ctx);
}

static void set_best(struct ts_disco_peer *p,
		     const struct ts_path_quality *best, uint64_t now_ms)
{
	forget_mtu(p);
	ts_path_doubt_confirmed(&p->doubt, now_ms);
	p->doubt.elsewhere = (struct ts_path_addr){0};
	p->best = *best;
	p->ops->best_changed(p->ctx, &p->best.to);
	p->ops->moved(p->ctx);
}

void ts_disco_clear_best(struct ts_disco_peer *p)
{
	if (!ts_path_addr_is_set(&p->best.to))
		return;
	forget_mtu(p);
	ts_path_doubt_clear(&p->doubt);
	p->best = (struct ts_path_quality){0};
	p->trust_until_ms = 0;
	p->ops->best_changed(p->ctx, NULL);
}

void ts_disco_peer_doubt(struct ts_disco_peer *p)
{
	p->trust_until_ms = 0;
}

bool ts_disco_peer_is_trusted(const struct ts_disco_peer *p, uint64_t now_ms)
{
	return ts_path_addr_is_set(&p->best.to) && now_ms <= p->trust_until_ms;
}

bool ts_disco_has_direct(const struct ts_disco_peer *p, uint64_t now_ms)
{
	return ts_path_addr_is_direct(&p->best.to) &&
	       ts_disco_peer_is_trusted(p, now_ms);
}

/* -- pings ---------------------------------------------------------------- */

/* Through a relay the sizes would be the relay's own affair. Without heartbeats
 * it would not be noticed when a path carries less than it did. */
static void probe_mtu(struct ts_disco_peer *p, uint64_t now_ms)
{
	size_t before = ts_disco_peer_mtu(p);
	size_t sizes[PATH_MTU_SIZES_MAX];
	size_t count;

	if (!p->probes_mtu || p->is_silent ||
	    !ts_path_addr_is_direct(&p->best.to) ||
	    !ts_disco_peer_is_trusted(p, now_ms))
		return;
	count = ts_path_mtu_due(&p->mtu, now_ms, sizes);
	for (size_t i = 0; i < count; i++)
		ts_disco_start_sized_ping(p, &p->best.to, sizes[i], NULL,
					  now_ms);
	if (ts_disco_peer_mtu(p) != before)
		p->ops->mtu_changed(p->ctx);
}

static bool wants_full_ping(const struct ts_disco_peer *p, uint64_t now_ms)
{
	if (!ts_disco_has_direct(p, now_ms))
		return true;
	return p->best.latency_us > DISCO_GOOD_LATENCY_US &&
	       now_ms >= p->full_ping_due_ms;
}

void ts_disco_peer_ask(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (p->is_silent || p->doubt.end_ms != UINT64_MAX ||
	    !ts_disco_peer_is_trusted(p, now_ms))
		return;
	ts_path_doubt_asked(&p->doubt, p->best.latency_us, now_ms);
	ts_disco_start_ping(p, &p->best.to, NULL, now_ms);
}

void ts_disco_peer_sent(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (!ts_disco_peer_is_trusted(p, now_ms))
		ts_path_doubt_clear(&p->doubt);
	else if (ts_path_doubt_sent(&p->doubt, now_ms))
		ts_disco_peer_ask(p, now_ms);
	if (!ts_disco_has_direct(p, now_ms)) {
		ts_disco_discover(p, true, now_ms);
		ts_disco_discover_relays(p, now_ms);
	}
	p->active_until_ms = now_ms + DISCO_SESSION_ACTIVE_MS;
	if (p->heartbeat_ms == UINT64_MAX && !p->derp_only && !p->is_silent)
		p->heartbeat_ms = now_ms + DISCO_HEARTBEAT_MS;
}

/* -- messages from the peer ----------------------------------------------- */

static void confirm(struct ts_disco_peer *p, const struct ts_path_addr *to,
		    uint64_t latency_us, uint64_t now_ms)
{
	if (!ts_path_addr_equal(to, &p->best.to))
		return;
	p->best.latency_us = latency_us;
	p->trust_until_ms = now_ms + DISCO_TRUST_MS;
	ts_path_doubt_confirmed(&p->doubt, now_ms);
}

/* A direct pong: the address that was pinged works. */
static void promote(struct ts_disco_peer *p, const struct ts_path_addr *to,
		    uint64_t latency_us, uint64_t now_ms)
{
	struct ts_path_quality pong = {.to = *to, .latency_us = latency_us};

	if (!ts_path_addr_equal(to, &p->best.to) &&
	    (ts_path_is_better(&pong, &p->best) ||
	     !ts_disco_peer_is_trusted(p, now_ms)))
		set_best(p, &pong, now_ms);
	confirm(p, to, latency_us, now_ms);
	if (p->mtu.searches == 0) /* a new path */
		probe_mtu(p, now_ms);
}

void ts_disco_peer_relay_ready(struct ts_disco_peer *p,
			       const struct ts_path_quality *path,
			       uint64_t now_ms)
{
	/* A relay forwards to the address that shook hands last, so the path
	 * in use through the same one is dead. */
	bool is_same_relay = p->best.to.vni != 0 &&
			     ts_public_key_equal(&p->best.relay, &path->relay);

	if (p->derp_only)
		return;
	if (is_same_relay || ts_path_is_better(path, &p->best) ||
	    !ts_disco_peer_is_trusted(p, now_ms))
		set_best(p, path, now_ms);
	confirm(p, &path->to, path->latency_us, now_ms);
}

void ts_disco_peer_heard(struct ts_disco_peer *p,
			 const struct ts_path_addr *from, uint64_t now_ms)
{
	bool is_back = ts_path_doubt_heard(&p->doubt, now_ms);

	if (!ts_path_addr_equal(from, &p->best.to)) {
		if (!p->is_silent && ts_disco_peer_is_trusted(p, now_ms))
			ts_path_doubt_elsewhere(&p->doubt, from, now_ms);
	} else {
		ts_path_doubt_confirmed(&p->doubt, now_ms);
		p->doubt.elsewhere = (struct ts_path_addr){0};
		if (p->is_silent)
			p->trust_until_ms = now_ms + DISCO_TRUST_MS;
	}
	if (is_back)
		p->ops->moved(p->ctx);
}

static void sized_pong(struct ts_disco_peer *p,
		       const struct ts_disco_sent *ping)
{
	size_t before = ts_disco_peer_mtu(p);

	if (!p->probes_mtu || !ts_path_addr_equal(&ping->to, &p->best.to))
		return;
	ts_path_mtu_answered(&p->mtu, ping->wire);
	if (ts_disco_peer_mtu(p) != before)
		p->ops->mtu_changed(p->ctx);
}

bool ts_disco_peer_got_pong(struct ts_disco_peer *p, bool is_derp,
			    const uint8_t tx_id[static DISCO_TX_ID_LEN],
			    uint64_t now_ms)
{
	struct ts_disco_sent *ping = ts_disco_pings_take(&p->pings, tx_id);
	uint64_t latency_us;

	if (!ping)
		return false;
	latency_us = (now_ms - ping->sent_ms) * 1000;
	/* An address that is no candidate any more was dropped for a reason,
	 * and a relayed path comes by its handshake only. */
	if (ping->wire != 0)
		sized_pong(p, ping);
	else if (!is_derp && ping->to.vni != 0)
		confirm(p, &ping->to, latency_us, now_ms);
	else if (!is_derp &&
		 ts_disco_candidates_find(&p->candidates, &ping->to))
		promote(p, &ping->to, latency_us, now_ms);
	ts_disco_end_ping(p, ping,
			  ts_disco_pings_answered(&p->pings, ping, latency_us));
	return true;
}

/* -- time, ends ----------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t ts_disco_peer_deadline_ms(const struct ts_disco_peer *p)
{
	uint64_t at_ms = ts_disco_pings_deadline_ms(&p->pings);

	at_ms = earlier(at_ms, ts_path_doubt_deadline_ms(&p->doubt));
	at_ms = earlier(at_ms, p->repeat_ms);
	return earlier(at_ms, p->heartbeat_ms);
}

static void expire_ping(struct ts_disco_peer *p,
			const struct ts_disco_sent *ping, uint64_t now_ms)
{
	if (!ts_path_addr_is_set(&p->best.to) ||
	    !ts_path_addr_equal(&ping->to, &p->best.to) ||
	    ts_disco_peer_is_trusted(p, now_ms))
		return;
	ts_disco_clear_best(p);
	/* What relays said while it worked is no answer. */
	p->relays_asked_ms = 0;
}

static void expire_pings(struct ts_disco_peer *p, uint64_t now_ms)
{
	struct ts_disco_sent *ping;

	while ((ping = ts_disco_pings_take_expired(&p->pings, now_ms))) {
		/* A large one that is lost says nothing of the path. */
		if (ping->wire == 0)
			expire_ping(p, ping, now_ms);
		ts_disco_end_ping(p, ping,
				  ts_disco_pings_given_up(ping, -ETIMEDOUT));
	}
}

static void heartbeat(struct ts_disco_peer *p, uint64_t now_ms)
{
	struct ts_disco_candidate *best =
		ts_disco_candidates_find(&p->candidates, &p->best.to);

	if (now_ms >= p->active_until_ms || p->is_silent) {
		p->heartbeat_ms = UINT64_MAX;
		return;
	}
	p->heartbeat_ms = now_ms + DISCO_HEARTBEAT_MS;
	if (best)
		ts_disco_ping_candidate(p, best, now_ms);
	else if (ts_path_addr_is_set(&p->best.to))
		ts_disco_start_ping(p, &p->best.to, NULL, now_ms);
	probe_mtu(p, now_ms);
	if (wants_full_ping(p, now_ms))
		ts_disco_discover(p, true, now_ms);
	ts_disco_discover_relays(p, now_ms);
}

/* Both ways from now on, until a pong comes; and look for another path. */
static void end_trust(struct ts_disco_peer *p, uint64_t now_ms)
{
	ts_path_doubt_ended(&p->doubt);
	p->trust_until_ms = 0;
	p->search_until_ms = 0;
	p->ops->trust_ended(p->ctx);
	ts_disco_search(p, true, now_ms);
	ts_disco_discover_relays(p, now_ms);
	p->ops->moved(p->ctx);
}

bool ts_disco_peer_refused(struct ts_disco_peer *p, const struct ts_addr *to,
			   uint64_t now_ms)
{
	if (!ts_addr_equal(to, &p->best.to.addr) ||
	    !ts_disco_peer_is_trusted(p, now_ms))
		return false;
	p->doubt.end_ms = now_ms;
	return true;
}

void ts_disco_peer_derp_is_up(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (now_ms >= p->active_until_ms || ts_disco_has_direct(p, now_ms) ||
	    now_ms < p->called_ms + DISCO_CALL_AGAIN_MS)
		return;
	ts_disco_search(p, true, now_ms);
	p->ops->moved(p->ctx);
}

static void end_quiet(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (!ts_path_doubt_is_quiet(&p->doubt, now_ms))
		return;
	if (ts_disco_peer_is_trusted(p, now_ms))
		ts_disco_peer_ask(p, now_ms);
	else
		p->ops->relay_is_quiet(p->ctx);
}

void ts_disco_peer_tick(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (now_ms >= p->doubt.end_ms)
		end_trust(p, now_ms);
	if (now_ms >= p->doubt.quiet_ms)
		end_quiet(p, now_ms);
	expire_pings(p, now_ms);
	if (now_ms >= p->repeat_ms)
		ts_disco_repeat_pings(p, now_ms);
	if (now_ms >= p->heartbeat_ms)
		heartbeat(p, now_ms);
}

void ts_disco_peer_network_changed(struct ts_disco_peer *p, uint64_t now_ms)
{
	for (size_t i = 0; i < p->candidates.count; i++)
		p->candidates.at[i].is_call_me_maybe = false;
	ts_disco_candidates_due(&p->candidates);
	p->discovery_due_ms = 0;
	p->search_until_ms = 0;
	p->relays_asked_ms = 0;
	if (now_ms >= p->active_until_ms) {
		ts_disco_clear_best(p);
		return;
	}
	forget_mtu(p);
	ts_path_doubt_ended(&p->doubt);
	p->trust_until_ms = 0;
	ts_disco_discover(p, true, now_ms);
	ts_disco_discover_relays(p, now_ms);
	p->ops->moved(p->ctx);
}

static void cancel_pings(struct ts_disco_peer *p)
{
	struct ts_disco_sent *ping;

	while ((ping = ts_disco_pings_take_first(&p->pings)))
		ts_disco_end_ping(p, ping,
				  ts_disco_pings_given_up(ping, -ECANCELED));
}

void ts_disco_peer_reset(struct ts_disco_peer *p)
{
	cancel_pings(p);
	ts_disco_clear_best(p);
	ts_disco_candidates_reset(&p->candidates);
	p->search_until_ms = 0;
	p->repeat_ms = UINT64_MAX;
	p->discovery_due_ms = 0;
	p->relays_asked_ms = 0;
}

void ts_disco_peer_init(struct ts_disco_peer *p, const struct ts_disco_ops *ops,
			void *ctx, bool derp_only)
{
	*p = (struct ts_disco_peer){
		.ops = ops,
		.ctx = ctx,
		.derp_only = derp_only,
		.heartbeat_ms = UINT64_MAX,
		.repeat_ms = UINT64_MAX,
	};
	ts_path_doubt_init(&p->doubt);
	ts_disco_pings_init(&p->pings);
}

void ts_disco_peer_deinit(struct ts_disco_peer *p)
{
	cancel_pings(p);
	ts_disco_candidates_deinit(&p->candidates);
}
