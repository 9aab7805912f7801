/* SPDX-License-Identifier: BSD-3-Clause
 * disco_peer.c - find and keep the best direct path to one peer
 *
 * In: opened disco messages, outbound traffic, now_ms. Out: messages to send
 * (ops), a deadline. Owns: its candidates and its pings (disco_pings.c).
 */
#include "core/path/disco_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- best path ----------------------------------------------------------- */

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

static void forget_silence(struct ts_disco_peer *p)
{
	p->unheard_ms = 0;
	p->doubt_ms = UINT64_MAX;
}

static void set_best(struct ts_disco_peer *p,
		     const struct ts_path_quality *best)
{
	forget_mtu(p);
	forget_silence(p);
	p->best = *best;
	p->ops->best_changed(p->ctx, &p->best.to);
}

static void clear_best(struct ts_disco_peer *p)
{
	if (!ts_path_addr_is_set(&p->best.to))
		return;
	forget_mtu(p);
	forget_silence(p);
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

/* -- candidates ---------------------------------------------------------- */

static struct ts_disco_candidate *find_candidate(struct ts_disco_peer *p,
						 const struct ts_path_addr *to)
{
	for (size_t i = 0; i < p->candidate_count; i++)
		if (ts_path_addr_equal(&p->candidates[i].to, to))
			return &p->candidates[i];
	return NULL;
}

/* Keeps the order: earlier endpoints are pinged first. */
static void remove_candidate(struct ts_disco_peer *p, size_t i)
{
	if (ts_path_addr_equal(&p->candidates[i].to, &p->best.to))
		clear_best(p);
	p->candidate_count--;
	memmove(&p->candidates[i], &p->candidates[i + 1],
		(p->candidate_count - i) * sizeof(*p->candidates));
}

static bool is_stale(const struct ts_disco_candidate *c, uint64_t now_ms)
{
	if (c->is_in_netmap || c->is_call_me_maybe)
		return false;
	return !c->was_heard || now_ms > c->heard_ms + DISCO_SESSION_ACTIVE_MS;
}

static void prune_candidates(struct ts_disco_peer *p, uint64_t now_ms)
{
	for (size_t i = p->candidate_count; i > 0; i--)
		if (is_stale(&p->candidates[i - 1], now_ms))
			remove_candidate(p, i - 1);
}

static int grow_candidates(struct ts_disco_peer *p)
{
	size_t cap = p->candidate_cap ? 2 * p->candidate_cap : 4;
	struct ts_disco_candidate *candidates;

	if (p->candidate_count < p->candidate_cap)
		return 0;
	candidates = realloc(p->candidates, cap * sizeof(*candidates));
	if (!candidates)
		return -ENOMEM;
	p->candidates = candidates;
	p->candidate_cap = cap;
	return 0;
}

/* Anybody who overheard a ping can repeat it from as many addresses as there
 * are; what the peer itself or the netmap names must find room all the same. */
static void make_room(struct ts_disco_peer *p)
{
	size_t oldest = p->candidate_count;

	for (size_t i = 0; i < p->candidate_count; i++) {
		const struct ts_disco_candidate *c = &p->candidates[i];

		if (!c->is_in_netmap && !c->is_call_me_maybe &&
		    !ts_path_addr_equal(&c->to, &p->best.to) &&
		    (oldest == p->candidate_count ||
		     c->heard_ms < p->candidates[oldest].heard_ms))
			oldest = i;
	}
	if (oldest < p->candidate_count)
		remove_candidate(p, oldest);
}

/* is_told: by netmap or peer. NULL: no room, or direct paths are switched off.
 */
static struct ts_disco_candidate *add_candidate(struct ts_disco_peer *p,
						const struct ts_path_addr *to,
						bool is_told, uint64_t now_ms)
{
	struct ts_disco_candidate *c;

	if (p->derp_only)
		return NULL;
	if (p->candidate_count >= DISCO_CANDIDATES_PRUNE)
		prune_candidates(p, now_ms);
	if (p->candidate_count >= DISCO_CANDIDATES_MAX && is_told)
		make_room(p);
	if (p->candidate_count >= DISCO_CANDIDATES_MAX ||
	    grow_candidates(p) != 0) {
		p->dropped_candidates++;
		return NULL;
	}
	c = &p->candidates[p->candidate_count++];
	*c = (struct ts_disco_candidate){.to = *to};
	p->discovery_due_ms = 0;
	return c;
}

static struct ts_disco_candidate *
find_or_add_candidate(struct ts_disco_peer *p, const struct ts_addr *addr,
		      bool is_told, uint64_t now_ms)
{
	struct ts_path_addr to = {.addr = *addr};
	struct ts_disco_candidate *c = find_candidate(p, &to);

	return c ? c : add_candidate(p, &to, is_told, now_ms);
}

void ts_disco_peer_set_endpoints(struct ts_disco_peer *p,
				 const struct ts_addr *addrs, size_t count,
				 uint64_t now_ms)
{
	for (size_t i = 0; i < p->candidate_count; i++)
		p->candidates[i].is_in_netmap = false;
	for (size_t i = 0; i < count && i < DISCO_ENDPOINTS_MAX; i++) {
		struct ts_disco_candidate *c = NULL;

		if (ts_path_is_pingable(&addrs[i]))
			c = find_or_add_candidate(p, &addrs[i], true, now_ms);
		if (c)
			c->is_in_netmap = true;
	}
	prune_candidates(p, now_ms);
}

/* -- pings --------------------------------------------------------------- */

/* Takes the ping; its probe may be over with it. */
static void end_ping(struct ts_disco_peer *p, struct ts_disco_sent *ping,
		     struct ts_disco_probe *over)
{
	free(ping);
	if (over)
		p->ops->probe_done(p->ctx, over);
}

/* to NULL: DERP. wire: as in the op. */
static void start_sized_ping(struct ts_disco_peer *p,
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

static void start_ping(struct ts_disco_peer *p, const struct ts_path_addr *to,
		       struct ts_disco_probe *probe, uint64_t now_ms)
{
	start_sized_ping(p, to, 0, probe, now_ms);
}

/* Through a relay the sizes would be the relay's own affair. Without heartbeats
 * it would not be noticed when a path carries less than it did. */
static void probe_mtu(struct ts_disco_peer *p, uint64_t now_ms)
{
	size_t sizes[PATH_MTU_SIZES_MAX];
	size_t count;

	if (!p->probes_mtu || p->is_silent ||
	    !ts_path_addr_is_direct(&p->best.to) ||
	    !ts_disco_peer_is_trusted(p, now_ms))
		return;
	count = ts_path_mtu_due(&p->mtu, now_ms, sizes);
	for (size_t i = 0; i < count; i++)
		start_sized_ping(p, &p->best.to, sizes[i], NULL, now_ms);
}

static void ping_candidate(struct ts_disco_peer *p,
			   struct ts_disco_candidate *c, uint64_t now_ms)
{
	c->ping_due_ms = now_ms + DISCO_PING_INTERVAL_MS;
	start_ping(p, &c->to, NULL, now_ms);
}

/* Ping every candidate that was not pinged lately. */
static void discover(struct ts_disco_peer *p, bool call_me_maybe,
		     uint64_t now_ms)
{
	uint64_t due_ms = UINT64_MAX;
	bool sent = false;

	if (p->derp_only || now_ms < p->discovery_due_ms)
		return;
	prune_candidates(p, now_ms);
	p->full_ping_due_ms = now_ms + DISCO_UPGRADE_INTERVAL_MS;
	for (size_t i = 0; i < p->candidate_count; i++) {
		struct ts_disco_candidate *c = &p->candidates[i];

		if (c->ping_due_ms <= now_ms) {
			ping_candidate(p, c, now_ms);
			sent = true;
		}
		if (c->ping_due_ms < due_ms)
			due_ms = c->ping_due_ms;
	}
	p->discovery_due_ms = due_ms;
	if (sent && call_me_maybe)
		p->ops->send_call_me_maybe(p->ctx);
}

/* Not for a good enough latency, as with direct paths: a peer that knows no
 * relay of its own stays on one only as long as we ask. */
static bool wants_relays(const struct ts_disco_peer *p, uint64_t now_ms)
{
	bool is_trusted = ts_disco_peer_is_trusted(p, now_ms);

	if (!p->may_relay || p->derp_only ||
	    (is_trusted && ts_path_addr_is_direct(&p->best.to)))
		return false;
	if (p->relays_asked_ms == 0)
		return !is_trusted;
	return now_ms >= p->relays_asked_ms +
				 (is_trusted ? DISCO_RELAY_UPGRADE_MS
					     : DISCO_RELAY_INTERVAL_MS);
}

static void discover_relays(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (wants_relays(p, now_ms) && p->ops->discover_relays(p->ctx))
		p->relays_asked_ms = now_ms;
}

static bool wants_full_ping(const struct ts_disco_peer *p, uint64_t now_ms)
{
	if (!ts_path_addr_is_direct(&p->best.to) ||
	    !ts_disco_peer_is_trusted(p, now_ms))
		return true;
	return p->best.latency_us > DISCO_GOOD_LATENCY_US &&
	       now_ms >= p->full_ping_due_ms;
}

static uint64_t patience_ms(const struct ts_disco_peer *p)
{
	uint64_t ms = 4 * p->best.latency_us / 1000;

	return ms > DISCO_DOUBT_MS ? ms : DISCO_DOUBT_MS;
}

/* Whoever sends a stream hears acknowledgements. One that goes one way only
 * costs a ping in half a second. */
static void note_silence(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (p->is_silent || p->doubt_ms != UINT64_MAX ||
	    !ts_disco_peer_is_trusted(p, now_ms))
		return;
	if (p->unheard_ms == 0) {
		p->unheard_ms = now_ms;
		return;
	}
	if (now_ms < p->unheard_ms + DISCO_SILENCE_MS)
		return;
	p->doubt_ms = now_ms + patience_ms(p);
	start_ping(p, &p->best.to, NULL, now_ms);
}

void ts_disco_peer_sent(struct ts_disco_peer *p, uint64_t now_ms)
{
	note_silence(p, now_ms);
	if (!ts_path_addr_is_direct(&p->best.to) ||
	    !ts_disco_peer_is_trusted(p, now_ms)) {
		discover(p, true, now_ms);
		discover_relays(p, now_ms);
	}
	p->active_until_ms = now_ms + DISCO_SESSION_ACTIVE_MS;
	if (p->heartbeat_ms == UINT64_MAX && !p->derp_only && !p->is_silent)
		p->heartbeat_ms = now_ms + DISCO_HEARTBEAT_MS;
}

/* -- messages from the peer ---------------------------------------------- */

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
	return may_pong(p, now_ms);
}

static void confirm(struct ts_disco_peer *p, const struct ts_path_addr *to,
		    uint64_t latency_us, uint64_t now_ms)
{
	if (!ts_path_addr_equal(to, &p->best.to))
		return;
	p->best.latency_us = latency_us;
	p->trust_until_ms = now_ms + DISCO_TRUST_MS;
	forget_silence(p);
}

/* A direct pong: the address that was pinged works. */
static void promote(struct ts_disco_peer *p, const struct ts_path_addr *to,
		    uint64_t latency_us, uint64_t now_ms)
{
	struct ts_path_quality pong = {.to = *to, .latency_us = latency_us};

	if (!ts_path_addr_equal(to, &p->best.to) &&
	    (ts_path_is_better(&pong, &p->best) ||
	     !ts_disco_peer_is_trusted(p, now_ms)))
		set_best(p, &pong);
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
		set_best(p, path);
	confirm(p, &path->to, path->latency_us, now_ms);
}

void ts_disco_peer_heard(struct ts_disco_peer *p,
			 const struct ts_path_addr *from, uint64_t now_ms)
{
	if (!ts_path_addr_equal(from, &p->best.to))
		return;
	forget_silence(p);
	if (p->is_silent)
		p->trust_until_ms = now_ms + DISCO_TRUST_MS;
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
	else if (!is_derp && find_candidate(p, &ping->to))
		promote(p, &ping->to, latency_us, now_ms);
	end_ping(p, ping,
		 ts_disco_pings_answered(&p->pings, ping, latency_us));
	return true;
}

void ts_disco_peer_got_call_me_maybe(struct ts_disco_peer *p,
				     const struct ts_disco_endpoints *endpoints,
				     uint64_t now_ms)
{
	for (size_t i = 0; i < p->candidate_count; i++)
		p->candidates[i].is_call_me_maybe = false;
	for (size_t i = 0; i < endpoints->count; i++) {
		struct ts_disco_candidate *c = NULL;

		if (ts_path_is_pingable(&endpoints->addrs[i]))
			c = find_or_add_candidate(p, &endpoints->addrs[i],
						  true, now_ms);
		if (c)
			c->is_call_me_maybe = true;
	}
	/* Its firewall is open for us this moment: ping without waiting. */
	for (size_t i = 0; i < p->candidate_count; i++)
		p->candidates[i].ping_due_ms = 0;
	p->discovery_due_ms = 0;
	discover(p, false, now_ms);
	/* It looks for us, and may know other relays than we do. */
	discover_relays(p, now_ms);
}

/* -- probes -------------------------------------------------------------- */

/* A message of size bytes, or the shortest. */
static void probe_by(struct ts_disco_peer *p, const struct ts_path_addr *to,
		     size_t size, struct ts_disco_probe *probe, uint64_t now_ms)
{
	size_t wire = size;

	if (size != 0 && to)
		wire = ts_path_mtu_wire(size, !ts_ip_is_v4(&to->addr.ip));
	start_sized_ping(p, to, wire, probe, now_ms);
}

int ts_disco_peer_probe(struct ts_disco_peer *p, bool has_derp, size_t size,
			ts_disco_probe_fn fn, void *fn_ctx, uint64_t now_ms)
{
	struct ts_disco_probe *probe = calloc(1, sizeof(*probe));

	if (!probe)
		return -ENOMEM;
	probe->fn = fn;
	probe->fn_ctx = fn_ctx;
	if (has_derp)
		probe_by(p, NULL, size, probe, now_ms);
	if (ts_disco_peer_is_trusted(p, now_ms))
		probe_by(p, &p->best.to, size, probe, now_ms);
	/* Of several addresses in one network any may answer first: where a
	 * direct path is in use the others are not asked. */
	if (!ts_path_addr_is_direct(&p->best.to) ||
	    !ts_disco_peer_is_trusted(p, now_ms)) {
		for (size_t i = 0; i < p->candidate_count; i++)
			probe_by(p, &p->candidates[i].to, size, probe,
				 now_ms);
		discover_relays(p, now_ms);
	}
	if (probe->pings == 0) {
		free(probe);
		return -EHOSTUNREACH;
	}
	return 0;
}

/* -- time, ends ---------------------------------------------------------- */

uint64_t ts_disco_peer_deadline_ms(const struct ts_disco_peer *p)
{
	uint64_t at_ms = ts_disco_pings_deadline_ms(&p->pings);

	if (p->doubt_ms < at_ms)
		at_ms = p->doubt_ms;
	return p->heartbeat_ms < at_ms ? p->heartbeat_ms : at_ms;
}

/* A large one that is lost says nothing of the path while small ones are. */
static void expire_sized_ping(struct ts_disco_peer *p,
			      const struct ts_disco_sent *ping, uint64_t now_ms)
{
	size_t before = ts_disco_peer_mtu(p);

	if (!ts_path_addr_equal(&ping->to, &p->best.to) ||
	    !ts_disco_peer_is_trusted(p, now_ms))
		return;
	ts_path_mtu_lost(&p->mtu, ping->wire, now_ms);
	if (ts_disco_peer_mtu(p) != before)
		p->ops->mtu_changed(p->ctx);
}

static void expire_ping(struct ts_disco_peer *p,
			const struct ts_disco_sent *ping, uint64_t now_ms)
{
	if (!ts_path_addr_is_set(&p->best.to) ||
	    !ts_path_addr_equal(&ping->to, &p->best.to) ||
	    ts_disco_peer_is_trusted(p, now_ms))
		return;
	clear_best(p);
	/* What relays said while it worked is no answer. */
	p->relays_asked_ms = 0;
}

static void expire_pings(struct ts_disco_peer *p, uint64_t now_ms)
{
	struct ts_disco_sent *ping;

	while ((ping = ts_disco_pings_take_expired(&p->pings, now_ms))) {
		if (ping->wire != 0)
			expire_sized_ping(p, ping, now_ms);
		else
			expire_ping(p, ping, now_ms);
		end_ping(p, ping, ts_disco_pings_given_up(ping, -ETIMEDOUT));
	}
}

static void heartbeat(struct ts_disco_peer *p, uint64_t now_ms)
{
	struct ts_disco_candidate *best = find_candidate(p, &p->best.to);

	if (now_ms >= p->active_until_ms || p->is_silent) {
		p->heartbeat_ms = UINT64_MAX;
		return;
	}
	p->heartbeat_ms = now_ms + DISCO_HEARTBEAT_MS;
	if (best)
		ping_candidate(p, best, now_ms);
	else if (ts_path_addr_is_set(&p->best.to))
		start_ping(p, &p->best.to, NULL, now_ms);
	probe_mtu(p, now_ms);
	if (wants_full_ping(p, now_ms))
		discover(p, true, now_ms);
	discover_relays(p, now_ms);
}

/* Both ways from now on, until a pong comes; and look for another path. */
static void end_trust(struct ts_disco_peer *p, uint64_t now_ms)
{
	forget_silence(p);
	p->trust_until_ms = 0;
	discover(p, true, now_ms);
	discover_relays(p, now_ms);
}

void ts_disco_peer_tick(struct ts_disco_peer *p, uint64_t now_ms)
{
	if (now_ms >= p->doubt_ms)
		end_trust(p, now_ms);
	expire_pings(p, now_ms);
	if (now_ms >= p->heartbeat_ms)
		heartbeat(p, now_ms);
}

void ts_disco_peer_network_changed(struct ts_disco_peer *p)
{
	clear_best(p);
	for (size_t i = 0; i < p->candidate_count; i++) {
		p->candidates[i].ping_due_ms = 0;
		p->candidates[i].is_call_me_maybe = false;
	}
	p->discovery_due_ms = 0;
	p->relays_asked_ms = 0;
}

static void cancel_pings(struct ts_disco_peer *p)
{
	struct ts_disco_sent *ping;

	while ((ping = ts_disco_pings_take_first(&p->pings)))
		end_ping(p, ping, ts_disco_pings_given_up(ping, -ECANCELED));
}

void ts_disco_peer_reset(struct ts_disco_peer *p)
{
	cancel_pings(p);
	clear_best(p);
	for (size_t i = p->candidate_count; i > 0; i--) {
		struct ts_disco_candidate *c = &p->candidates[i - 1];

		if (c->is_in_netmap)
			*c = (struct ts_disco_candidate){
				.to = c->to,
				.is_in_netmap = true,
			};
		else
			remove_candidate(p, i - 1);
	}
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
		.doubt_ms = UINT64_MAX,
	};
	ts_disco_pings_init(&p->pings);
}

void ts_disco_peer_deinit(struct ts_disco_peer *p)
{
	cancel_pings(p);
	free(p->candidates);
	p->candidates = NULL;
	p->candidate_count = p->candidate_cap = 0;
}
