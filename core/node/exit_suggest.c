/* SPDX-License-Identifier: BSD-3-Clause
 * exit_suggest.c - which exit node to use, when the user has not said
 *
 * Candidates are peers that are there, offer both default routes and may be
 * suggested. Where the tailnet steers traffic, the one with the highest score
 * is taken, and among equals each client prefers another one, always the same.
 * Else one that is at home in the relay's region which answers us fastest; and
 * when none has a home, one that is about as near to our own home as the
 * nearest. What was suggested before stays when it is as good.
 * Source: ipn/ipnlocal/local.go (suggestExitNode), net/traffic/traffic.go
 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/json_fields.h"
#include "core/node/exit_node.h"

#define CAP_SUGGEST "suggest-exit-node"
#define CAP_STEERING "traffic-steering"
#define CAP_REACHABILITY "client-side-reachability"
#define CAP_ROUTE_CHECK "client-side-reachability-routecheck"

enum { CANDIDATES_MAX = 4096 };

static const double EARTH_RADIUS_M = 6371000;
static const double ALLOWANCE_M = 100000; /* about a millisecond of fibre */

struct candidates {
	const struct ts_peer **at;
	size_t count;
};

bool node_exit_offers(const struct ts_peer *peer)
{
	bool v4 = false, v6 = false;

	for (size_t i = 0; i < peer->allowed_ip_count; i++) {
		if (!ts_prefix_is_default(&peer->allowed_ips[i]))
			continue;
		if (ts_ip_is_v4(&peer->allowed_ips[i].ip))
			v4 = true;
		else
			v6 = true;
	}
	return v4 && v6;
}

/* May the server's word about who is online be wrong? Upstream measures
 * instead with the second attribute, and takes that word without a report. */
static bool ignores_online(const struct ts_peer *self)
{
	return ts_peer_has_cap(self, CAP_REACHABILITY) &&
	       !ts_peer_has_cap(self, CAP_ROUTE_CHECK);
}

static bool is_candidate(const struct ts_peer *peer, bool ignores)
{
	return (ignores || peer->online == TS_YES) && !peer->expired &&
	       ts_peer_has_cap(peer, CAP_SUGGEST) && node_exit_offers(peer);
}

static int collect(const struct ts_netmap *map, struct candidates *out)
{
	const struct ts_peer *peer;
	bool ignores = ignores_online(map->self);
	size_t pos = 0;

	out->at = calloc(CANDIDATES_MAX, sizeof(*out->at));
	if (!out->at)
		return -ENOMEM;
	while (out->count < CANDIDATES_MAX &&
	       (peer = ts_netmap_next_peer(map, &pos)))
		if (is_candidate(peer, ignores))
			out->at[out->count++] = peer;
	return 0;
}

static int priority_of(const struct ts_peer *peer)
{
	return ts_json_small(peer->location, "Priority", 0, INT32_MAX);
}

/* Drops those that keep() does not want. */
static void filter(struct candidates *c,
		   bool (*keep)(const struct ts_peer *peer, const void *ctx),
		   const void *ctx)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++)
		if (keep(c->at[i], ctx))
			c->at[kept++] = c->at[i];
	c->count = kept;
}

static bool has_priority(const struct ts_peer *peer, const void *ctx)
{
	return peer->location && priority_of(peer) == *(const int *)ctx;
}

static void keep_highest_priority(struct candidates *c)
{
	int highest = 0;

	for (size_t i = 0; i < c->count; i++)
		if (priority_of(c->at[i]) > highest)
			highest = priority_of(c->at[i]);
	filter(c, has_priority, &highest);
}

static const struct ts_peer *pick(const struct candidates *c,
				  const struct node_exit_view *view)
{
	for (size_t i = 0; view->before && i < c->count; i++)
		if (c->at[i]->stable_id &&
		    strcmp(c->at[i]->stable_id, view->before) == 0)
			return c->at[i];
	return c->at[view->random_below((uint32_t)c->count)];
}

/* -- traffic steering ----------------------------------------------------- */

static uint64_t mix_be64(uint64_t h, uint64_t value)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		h = (h ^ (uint8_t)(value >> shift)) * 0x100000001b3u;
	return h;
}

/* As upstream's, so that all clients of a machine agree. */
static uint64_t rendezvous(int64_t self, int64_t id)
{
	uint64_t v = mix_be64(mix_be64(0xcbf29ce484222325u, (uint64_t)self),
			      (uint64_t)id);

	v ^= v >> 30;
	v *= 0xbf58476d1ce4e5b9u;
	v ^= v >> 27;
	v *= 0x94d049bb133111ebu;
	return v ^ v >> 31;
}

static bool is_preferred(int64_t self, const struct ts_peer *a,
			 const struct ts_peer *b)
{
	uint64_t x = rendezvous(self, a->id), y = rendezvous(self, b->id);

	if (priority_of(a) != priority_of(b))
		return priority_of(a) > priority_of(b);
	return x != y ? x > y : a->id > b->id;
}

static const struct ts_peer *by_score(const struct candidates *c, int64_t self)
{
	const struct ts_peer *best = c->at[0];

	for (size_t i = 1; i < c->count; i++)
		if (is_preferred(self, c->at[i], best))
			best = c->at[i];
	return best;
}

/* -- by relay ------------------------------------------------------------- */

static uint32_t latency_of(const struct ts_net_info *net, int region)
{
	uint32_t least = UINT32_MAX;

	for (size_t i = 0; i < net->latency_count; i++)
		if (net->latencies[i].region == region &&
		    net->latencies[i].us > 0 && net->latencies[i].us < least)
			least = net->latencies[i].us;
	return least;
}

static bool has_home(const struct ts_peer *peer, const void *ctx)
{
	(void)ctx;
	return peer->home_derp != 0;
}

static bool is_in_region(const struct ts_peer *peer, const void *ctx)
{
	return peer->home_derp == *(const int *)ctx;
}

/* Without any latency each is as good as the other. */
static void keep_nearest_region(struct candidates *c,
				const struct node_exit_view *view)
{
	int region = 0;
	uint32_t least = UINT32_MAX;

	for (size_t i = 0; i < c->count; i++) {
		uint32_t us = latency_of(view->net, c->at[i]->home_derp);

		if (us < least) {
			least = us;
			region = c->at[i]->home_derp;
		}
	}
	if (region == 0)
		region = c->at[view->random_below((uint32_t)c->count)]
				 ->home_derp;
	filter(c, is_in_region, &region);
}

/* -- by place ------------------------------------------------------------- */

struct place {
	double latitude, longitude; /* degrees */
};

static double radians(double degrees)
{
	return degrees * 3.14159265358979323846 / 180;
}

static struct place place_of(const json_t *obj)
{
	return (struct place){
		ts_json_number(ts_json_get(obj, "Latitude")),
		ts_json_number(ts_json_get(obj, "Longitude")),
	};
}

/* Haversine. */
static double distance_m(const struct place *a, const struct place *b)
{
	double lat = sin(radians(a->latitude - b->latitude) / 2);
	double lon = sin(radians(a->longitude - b->longitude) / 2);
	double h = lat * lat + cos(radians(a->latitude)) *
				       cos(radians(b->latitude)) * lon * lon;

	return 2 * EARTH_RADIUS_M * asin(sqrt(h < 1 ? h : 1));
}

struct near {
	struct place home;
	double limit_m;
};

static bool is_near(const struct ts_peer *peer, const void *ctx)
{
	const struct near *near = ctx;
	struct place at = place_of(peer->location);

	return peer->location &&
	       distance_m(&near->home, &at) <= near->limit_m;
}

static struct place home_of(const struct node_exit_view *view)
{
	const json_t *regions =
		ts_json_object(view->map->derp_map->raw, "Regions");
	char id[16];

	snprintf(id, sizeof(id), "%d", view->net->preferred_derp);
	return place_of(json_object_get(regions, id));
}

static void keep_near(struct candidates *c, const struct node_exit_view *view)
{
	struct near near = {.home = home_of(view), .limit_m = DBL_MAX};

	for (size_t i = 0; i < c->count; i++) {
		struct place at = place_of(c->at[i]->location);
		double m = distance_m(&near.home, &at);

		if (c->at[i]->location && m < near.limit_m)
			near.limit_m = m;
	}
	near.limit_m += ALLOWANCE_M;
	filter(c, is_near, &near);
	keep_highest_priority(c);
}

/* -- all ------------------------------------------------------------------ */

static int by_home(struct candidates *c, const struct node_exit_view *view,
		   const struct ts_peer **out)
{
	const struct ts_peer *any;
	size_t all = c->count;

	if (view->net->preferred_derp == 0 || !view->map->derp_map ||
	    (all > 1 && !ts_derp_map_region(view->map->derp_map,
					    view->net->preferred_derp)))
		return -EAGAIN;
	if (all == 0)
		return 0;
	if (all == 1) {
		*out = c->at[0];
		return 0;
	}
	any = pick(c, view);
	for (size_t i = 0; i < all; i++)
		if (has_home(c->at[i], NULL)) {
			filter(c, has_home, NULL);
			keep_nearest_region(c, view);
			*out = pick(c, view);
			return 0;
		}
	keep_near(c, view);
	*out = c->count > 0 ? pick(c, view) : any;
	return 0;
}

int node_exit_suggest(const struct node_exit_view *view,
		      const struct ts_peer **out)
{
	const struct ts_peer *self = view->map->self;
	struct candidates c = {0};
	int err = self ? collect(view->map, &c) : -EAGAIN;

	*out = NULL;
	if (!err && !ts_peer_has_cap(self, CAP_STEERING))
		err = by_home(&c, view, out);
	else if (!err && c.count > 0)
		*out = by_score(&c, self->id);
	free(c.at);
	return err;
}
