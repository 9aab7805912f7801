/* SPDX-License-Identifier: BSD-3-Clause
 * netcheck.c - probes to the DERP regions: latency, our public addresses
 */
#include "core/path/netcheck.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/path/netcheck_plan.h"

/* -- end ------------------------------------------------------------------ */

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
			ts_netcheck_answered_by(&n->report, true) ? TS_YES
								  : TS_NO;
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

/* -- progress ------------------------------------------------------------- */

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

/* -- time, start, ends ---------------------------------------------------- */

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
	err = ts_netcheck_plan(n, map, home, now_ms);
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
