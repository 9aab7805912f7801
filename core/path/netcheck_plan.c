/* SPDX-License-Identifier: BSD-3-Clause
 * netcheck_plan.c - which DERP regions are asked, how often, by what family
 *
 * A full measurement asks all of them by both. Otherwise home is asked most,
 * the fastest of the last report next, the others once by one family in turn:
 * enough to see that another one has become nearer.
 * Source: net/netcheck/netcheck.go (makeProbePlan)
 */
#include "core/path/netcheck_plan.h"

#include <errno.h>
#include <stdlib.h>

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

/* -- probes --------------------------------------------------------------- */

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

/* -- a region's share ----------------------------------------------------- */

static const struct ts_netcheck_region *
find_region(const struct ts_netcheck_report *report, int id)
{
	for (size_t i = 0; i < report->region_count; i++)
		if (report->regions[i].id == id)
			return &report->regions[i];
	return NULL;
}

bool ts_netcheck_answered_by(const struct ts_netcheck_report *report, bool v6)
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
	bool had_v4 = ts_netcheck_answered_by(&n->last, false);
	bool had_v6 = ts_netcheck_answered_by(&n->last, true);

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

/* -- the plan ------------------------------------------------------------- */

/* A region of STUN servers only is no place to live. */
static bool can_relay(const struct ts_derp_region *region)
{
	for (size_t i = 0; i < region->node_count; i++)
		if (!region->nodes[i].stun_only)
			return true;
	return false;
}

int ts_netcheck_plan(struct ts_netcheck *n, const struct ts_derp_map *map,
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
