/* SPDX-License-Identifier: BSD-3-Clause
 * netcheck.c - probes to the DERP regions: latency, our public addresses
 */
#include "core/path/netcheck.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"

enum {
	FAMILIES = 2, /* IPv4 and IPv6 */
	/* Incremental: tries to home, the two fastest, another. */
	TRIES_HOME = 4,
	TRIES_FASTEST = 2,
	TRIES_OTHER = 1,
	FASTEST = 2,
	SPACING_UNKNOWN_MS = 200,
	SPACING_STEP_MS = 50,
	SPACING_MIN_MS = 20,
};

struct ts_netcheck_probe {
	size_t region; /* index in report.regions */
	bool is_v6;
	struct ts_addr to;
	uint64_t at_ms;   /* to be sent */
	uint64_t sent_ms; /* once is_sent */
	bool is_sent, is_answered;
	uint8_t tx_id[STUN_TX_ID_LEN];
};

/* -- plan ---------------------------------------------------------------- */

static bool parse_ip(const char *text, bool want_v6, struct ts_ip *out)
{
	return text && ts_ip_parse(text, out) == 0 &&
	       ts_ip_is_v4(out) != want_v6;
}

/* The node's address of that family: the map's, or its name's. */
static bool node_stun_addr(const struct ts_netcheck *n,
			   const struct ts_derp_node *node, bool want_v6,
			   struct ts_addr *out)
{
	const char *listed = want_v6 ? node->ipv6 : node->ipv4;

	if (node->stun_port <= 0 || node->stun_port > UINT16_MAX)
		return false;
	out->port = (uint16_t)node->stun_port;
	if (node->stun_test_ip && *node->stun_test_ip)
		return parse_ip(node->stun_test_ip, want_v6, &out->ip);
	if (listed && *listed) /* "none" is no address and does not parse */
		return parse_ip(listed, want_v6, &out->ip);
	if (parse_ip(node->host_name, want_v6, &out->ip))
		return true;
	return n->ops->find &&
	       n->ops->find(n->ctx, node->host_name, want_v6, &out->ip);
}

static int add_probe(struct ts_netcheck *n, const struct ts_derp_node *node,
		     size_t region, bool is_v6, uint64_t at_ms)
{
	struct ts_netcheck_probe *probes, *p;
	struct ts_addr to;

	if (n->no_stun || !node_stun_addr(n, node, is_v6, &to))
		return 0;
	if ((n->probe_count & (n->probe_count - 1)) == 0) {
		size_t cap = n->probe_count ? 2 * n->probe_count : 1;

		probes = realloc(n->probes, cap * sizeof(*probes));
		if (!probes)
			return -ENOMEM;
		n->probes = probes;
	}
	p = &n->probes[n->probe_count++];
	*p = (struct ts_netcheck_probe){
		.region = region,
		.is_v6 = is_v6,
		.to = to,
		.at_ms = at_ms,
	};
	ts_random_bytes(p->tx_id, sizeof(p->tx_id));
	return 0;
}

struct region_plan {
	int tries;
	uint64_t spacing_ms, step_ms;
	bool no_v4, no_v6;
	bool no_v6_again; /* after the first try */
};

/* Each try asks the next node of the region. */
static int plan_region(struct ts_netcheck *n,
		       const struct ts_derp_region *region,
		       const struct region_plan *plan, uint64_t now_ms)
{
	size_t index = n->report.region_count;
	int err = 0;

	n->report.regions[n->report.region_count++] =
		(struct ts_netcheck_region){.id = region->id};
	for (int try = 0; try < plan->tries && !err; try++) {
		const struct ts_derp_node *node =
			&region->nodes[(size_t)try % region->node_count];
		uint64_t at_ms = now_ms + (uint64_t)try * plan->spacing_ms;

		if (try > 1)
			at_ms += (uint64_t)try * plan->step_ms;
		if (!plan->no_v4)
			err = add_probe(n, node, index, false, at_ms);
		if (!err && !plan->no_v6 && !(plan->no_v6_again && try > 0))
			err = add_probe(n, node, index, true, at_ms);
	}
	return err;
}

static const struct ts_netcheck_region *
find_region(const struct ts_netcheck_report *report, int id)
{
	for (size_t i = 0; i < report->region_count; i++)
		if (report->regions[i].id == id)
			return &report->regions[i];
	return NULL;
}

static bool answered_by(const struct ts_netcheck_report *report, bool v6)
{
	for (size_t i = 0; i < report->region_count; i++)
		if (v6 ? report->regions[i].has_v6 : report->regions[i].has_v4)
			return true;
	return false;
}

/* How many regions answered faster than this one in the last report. */
static size_t rank_of(const struct ts_netcheck_report *last,
		      const struct ts_netcheck_region *region)
{
	size_t rank = 0;

	for (size_t i = 0; i < last->region_count; i++)
		if (last->regions[i].has_latency &&
		    last->regions[i].latency_us < region->latency_us)
			rank++;
	return rank;
}

/* Regions that are neither home nor the nearest are asked by one family, in
 * turn, where both work; and IPv6 that did not work is not tried hard. */
static void choose_families(const struct ts_netcheck *n, size_t rank,
			    bool is_home, struct region_plan *plan)
{
	bool had_v4 = answered_by(&n->last, false);
	bool had_v6 = answered_by(&n->last, true);

	plan->no_v6_again = !had_v6;
	if (is_home || rank < FASTEST)
		return;
	plan->no_v6 = !had_v6 || (had_v4 && rank % 2 == 0);
	plan->no_v4 = had_v4 && had_v6 && rank % 2 != 0;
}

static struct region_plan incremental_plan(const struct ts_netcheck *n, int id,
					   int home)
{
	const struct ts_netcheck_region *last = find_region(&n->last, id);
	struct region_plan plan = {
		.spacing_ms = SPACING_UNKNOWN_MS,
		.step_ms = SPACING_STEP_MS,
	};
	size_t rank = SIZE_MAX;

	if (last && last->has_latency) {
		rank = rank_of(&n->last, last);
		plan.spacing_ms =
			SPACING_MIN_MS + last->latency_us * 12 / 10 / 1000;
	}
	choose_families(n, rank, id == home, &plan);
	if (id == home)
		plan.tries = TRIES_HOME;
	else if (rank < FASTEST)
		plan.tries = TRIES_FASTEST;
	else if (rank < NETCHECK_ENOUGH_REGIONS)
		plan.tries = TRIES_OTHER;
	return plan;
}

/* A region of STUN servers only is no place to live. */
static bool can_relay(const struct ts_derp_region *region)
{
	for (size_t i = 0; i < region->node_count; i++)
		if (!region->nodes[i].stun_only)
			return true;
	return false;
}

static int plan_all(struct ts_netcheck *n, const struct ts_derp_map *map,
		    int home, uint64_t now_ms)
{
	static const struct region_plan full = {
		.tries = NETCHECK_TRIES,
		.spacing_ms = NETCHECK_TRY_SPACING_MS,
	};
	int err = 0;

	for (size_t i = 0; i < map->region_count && !err; i++) {
		const struct ts_derp_region *region = &map->regions[i];
		struct region_plan plan = full;

		if (region->no_measure_no_home || !can_relay(region) ||
		    (region->avoid && region->id != home))
			continue;
		if (n->report.region_count == NETCHECK_REGIONS_MAX)
			break;
		if (!n->is_full)
			plan = incremental_plan(n, region->id, home);
		if (plan.tries > 0)
			err = plan_region(n, region, &plan, now_ms);
	}
	return err;
}

/* -- end ----------------------------------------------------------------- */

void ts_netcheck_cancel(struct ts_netcheck *n)
{
	free(n->probes);
	n->probes = NULL;
	n->probe_count = 0;
	free(n->report.regions);
	n->report = (struct ts_netcheck_report){0};
	n->is_running = false;
	n->map = NULL;
	if (n->is_https)
		n->ops->https_cancel(n->ctx);
	n->is_https = false;
	n->https_count = 0;
}

static bool any_answered(const struct ts_netcheck_report *report)
{
	for (size_t i = 0; i < report->region_count; i++)
		if (report->regions[i].has_latency)
			return true;
	return false;
}

static const struct ts_derp_node *relaying_node(const struct ts_derp_map *map,
						int region)
{
	const struct ts_derp_region *r = ts_derp_map_region(map, region);

	for (size_t i = 0; r && i < r->node_count; i++)
		if (!r->nodes[i].stun_only)
			return &r->nodes[i];
	return NULL;
}

/* An op may answer before it returns: count first, ask later. */
static void start_https(struct ts_netcheck *n, uint64_t now_ms)
{
	int ids[NETCHECK_HTTPS_MAX];
	size_t count = n->report.region_count;

	if (count > NETCHECK_HTTPS_MAX)
		count = NETCHECK_HTTPS_MAX;
	n->is_https = true;
	n->stop_ms = now_ms + NETCHECK_HTTPS_LIMIT_MS;
	n->https_count = count;
	for (size_t i = 0; i < count; i++)
		ids[i] = n->report.regions[i].id;
	for (size_t i = 0; i < count && n->is_https; i++) {
		const struct ts_derp_node *node = relaying_node(n->map, ids[i]);

		if (node)
			n->ops->https(n->ctx, ids[i], node);
		else
			ts_netcheck_https(n, ids[i], 0, now_ms);
	}
}

static void conclude(struct ts_netcheck *n, uint64_t now_ms)
{
	free(n->last.regions);
	n->last = n->report;
	n->report = (struct ts_netcheck_report){0};
	ts_netcheck_cancel(n);
	n->ops->done(n->ctx, &n->last, now_ms);
}

/* The STUN phase is over. */
static void finish(struct ts_netcheck *n, uint64_t now_ms)
{
	bool answered = any_answered(&n->report);

	if (n->probe_count > 0) {
		n->report.working_udp = answered ? TS_YES : TS_NO;
		n->report.working_ipv6 =
			answered_by(&n->report, true) ? TS_YES : TS_NO;
	}
	/* Where nobody could be asked by UDP nothing is known to be wrong. */
	if (answered || !n->ops->https || n->report.region_count == 0 ||
	    (n->probe_count == 0 && !n->no_stun))
		conclude(n, now_ms);
	else
		start_https(n, now_ms);
}

void ts_netcheck_https(struct ts_netcheck *n, int region, uint64_t latency_us,
		       uint64_t now_ms)
{
	if (!n->is_https)
		return;
	for (size_t i = 0; i < n->report.region_count; i++) {
		struct ts_netcheck_region *r = &n->report.regions[i];

		if (r->id != region || latency_us == 0)
			continue;
		r->has_latency = true;
		r->has_https = true;
		r->latency_us = latency_us;
	}
	if (--n->https_count == 0)
		conclude(n, now_ms);
}

/* -- progress ------------------------------------------------------------ */

/* Region and family have answered: another try would tell nothing new. */
static bool is_settled(const struct ts_netcheck *n,
		       const struct ts_netcheck_probe *p)
{
	const struct ts_netcheck_region *r = &n->report.regions[p->region];

	return p->is_v6 ? r->has_v6 : r->has_v4;
}

static void send_probe(struct ts_netcheck *n, struct ts_netcheck_probe *p,
		       uint64_t now_ms)
{
	uint8_t request[STUN_REQUEST_LEN];

	p->is_sent = true;
	p->sent_ms = now_ms;
	if (is_settled(n, p))
		return;
	ts_stun_write_request(p->tx_id, request);
	n->ops->send(n->ctx, &p->to, request, sizeof(request));
}

static void send_due(struct ts_netcheck *n, uint64_t now_ms)
{
	for (size_t i = 0; i < n->probe_count; i++)
		if (!n->probes[i].is_sent && n->probes[i].at_ms <= now_ms)
			send_probe(n, &n->probes[i], now_ms);
}

static bool all_settled(const struct ts_netcheck *n)
{
	for (size_t i = 0; i < n->probe_count; i++)
		if (!is_settled(n, &n->probes[i]))
			return false;
	return true;
}

/* Enough regions answered: give the others as long as the slowest of those
 * took (twice when full), then stop. */
static void maybe_stop_early(struct ts_netcheck *n, uint64_t now_ms)
{
	size_t wanted = n->report.region_count, answered = 0;
	uint64_t slowest_us = 1000, stop_ms;

	if (wanted > NETCHECK_ENOUGH_REGIONS)
		wanted = NETCHECK_ENOUGH_REGIONS;
	for (size_t i = 0; i < n->report.region_count; i++) {
		const struct ts_netcheck_region *r = &n->report.regions[i];

		answered += r->has_latency;
		if (r->has_latency && r->latency_us > slowest_us)
			slowest_us = r->latency_us;
	}
	if (answered < wanted)
		return;
	stop_ms = now_ms + slowest_us / 1000 * (n->is_full ? 2 : 1);
	if (stop_ms < n->stop_ms)
		n->stop_ms = stop_ms;
}

static void note_mapped(struct ts_netcheck *n,
			const struct ts_netcheck_probe *p,
			const struct ts_addr *mapped)
{
	struct ts_netcheck_report *r = &n->report;
	size_t i = 0;

	while (i < r->mapped_count &&
	       !ts_addr_equal(&r->mapped[i].addr, mapped))
		i++;
	if (i < r->mapped_count)
		r->mapped[i].seen++;
	else if (i < NETCHECK_MAPPED_MAX)
		r->mapped[r->mapped_count++] = (struct ts_netcheck_mapped){
			.addr = *mapped,
			.seen = 1,
		};
	if (p->is_v6)
		return;
	/* Asked two servers: is the mapping the same for both? */
	if (ts_ip_is_zero(&n->first_v4_server.ip)) {
		n->first_v4_server = p->to;
		n->first_v4_mapped = *mapped;
	} else if (!ts_addr_equal(&n->first_v4_server, &p->to) &&
		   r->mapping_varies != TS_YES) {
		r->mapping_varies = ts_addr_equal(&n->first_v4_mapped, mapped)
					    ? TS_NO
					    : TS_YES;
	}
}

static void note_latency(struct ts_netcheck *n,
			 const struct ts_netcheck_probe *p, uint64_t now_ms)
{
	struct ts_netcheck_region *r = &n->report.regions[p->region];
	uint64_t latency_us = (now_ms - p->sent_ms) * 1000;

	if (!r->has_latency || latency_us < r->latency_us)
		r->latency_us = latency_us;
	if (p->is_v6 ? !r->has_v6 || latency_us < r->v6_us
		     : !r->has_v4 || latency_us < r->v4_us)
		*(p->is_v6 ? &r->v6_us : &r->v4_us) = latency_us;
	r->has_latency = true;
	r->has_v4 |= !p->is_v6;
	r->has_v6 |= p->is_v6;
}

static struct ts_netcheck_probe *find_probe(struct ts_netcheck *n,
					    const uint8_t *tx_id)
{
	for (size_t i = 0; i < n->probe_count; i++)
		if (n->probes[i].is_sent && !n->probes[i].is_answered &&
		    memcmp(n->probes[i].tx_id, tx_id, STUN_TX_ID_LEN) == 0)
			return &n->probes[i];
	return NULL;
}

bool ts_netcheck_input(struct ts_netcheck *n, const uint8_t *pkt, size_t len,
		       uint64_t now_ms)
{
	uint8_t tx_id[STUN_TX_ID_LEN];
	struct ts_netcheck_probe *p;
	struct ts_addr mapped;

	if (n->is_https) /* too late */
		return false;
	if (ts_stun_read_response(pkt, len, tx_id, &mapped) != 0)
		return false;
	p = find_probe(n, tx_id);
	if (!p)
		return false;
	p->is_answered = true;
	note_latency(n, p, now_ms);
	note_mapped(n, p, &mapped);
	if (all_settled(n))
		finish(n, now_ms);
	else
		maybe_stop_early(n, now_ms);
	return true;
}

/* -- time, start, ends --------------------------------------------------- */

static uint64_t stop_ms(const struct ts_netcheck *n)
{
	uint64_t silence_ms = n->report.started_ms + NETCHECK_SILENCE_MS;

	if (!n->is_https && !any_answered(&n->report) &&
	    silence_ms < n->stop_ms)
		return silence_ms;
	return n->stop_ms;
}

uint64_t ts_netcheck_deadline_ms(const struct ts_netcheck *n)
{
	uint64_t at_ms;

	if (!n->is_running)
		return UINT64_MAX;
	at_ms = stop_ms(n);
	for (size_t i = 0; i < n->probe_count && !n->is_https; i++)
		if (!n->probes[i].is_sent && n->probes[i].at_ms < at_ms)
			at_ms = n->probes[i].at_ms;
	return at_ms;
}

void ts_netcheck_tick(struct ts_netcheck *n, uint64_t now_ms)
{
	if (!n->is_running)
		return;
	if (now_ms >= stop_ms(n) && n->is_https)
		conclude(n, now_ms);
	else if (now_ms >= stop_ms(n))
		finish(n, now_ms);
	else
		send_due(n, now_ms);
}

int ts_netcheck_start(struct ts_netcheck *n, const struct ts_derp_map *map,
		      int home, bool full, uint64_t now_ms)
{
	int err;

	ts_netcheck_cancel(n);
	/* Without answers there is no telling which regions are near. */
	n->is_full = full || !any_answered(&n->last);
	n->first_v4_server = (struct ts_addr){0};
	n->report.started_ms = now_ms;
	n->report.regions =
		calloc(NETCHECK_REGIONS_MAX, sizeof(*n->report.regions));
	if (!n->report.regions)
		return -ENOMEM;
	err = plan_all(n, map, home, now_ms);
	if (err) {
		ts_netcheck_cancel(n);
		return err;
	}
	n->is_running = true;
	n->map = map;
	n->stop_ms = now_ms + NETCHECK_LIMIT_MS;
	if (n->probe_count == 0)
		finish(n, now_ms);
	else
		send_due(n, now_ms);
	return 0;
}

void ts_netcheck_init(struct ts_netcheck *n, const struct ts_netcheck_ops *ops,
		      void *ctx)
{
	*n = (struct ts_netcheck){.ops = ops, .ctx = ctx};
}

void ts_netcheck_deinit(struct ts_netcheck *n)
{
	ts_netcheck_cancel(n);
	free(n->last.regions);
	n->last = (struct ts_netcheck_report){0};
}
