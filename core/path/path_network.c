/* SPDX-License-Identifier: BSD-3-Clause
 * path_network.c - network checks, home region, own endpoints
 *
 * A check runs at the start, every 20-26 s while there is traffic, when a
 * CallMeMaybe needs fresh endpoints, and when DERP is in trouble. Its report
 * gives our endpoints and chooses the home region. Where nothing could be
 * measured (no UDP, or the map has only names) several regions are connected
 * at once, and the first that is up becomes home.
 */
#include <errno.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/path_internal.h"

/* -- telling the node ----------------------------------------------------- */

void ts_path_tell_endpoints(struct ts_path *path)
{
	const struct ts_endpoints *e = &path->endpoints;

	if (ts_path_is_direct_allowed(path) && e->is_checked)
		path->ops->endpoints_changed(path->ctx, e->addrs, e->types,
					     e->count);
}

void ts_path_tell_net_info(struct ts_path *path)
{
	const struct ts_netcheck_report *last = &path->netcheck.last;

	if (path->pool.home == path->told_home &&
	    last->mapping_varies == path->told_varies &&
	    last->working_udp == path->told_udp &&
	    last->working_ipv6 == path->told_ipv6)
		return;
	path->told_home = path->pool.home;
	path->told_varies = last->mapping_varies;
	path->told_udp = last->working_udp;
	path->told_ipv6 = last->working_ipv6;
	path->ops->net_info_changed(path->ctx, path->told_home, last);
}

static void tell_derp_ready(struct ts_path *path, bool connected)
{
	if (path->home_reported)
		return;
	path->home_reported = true;
	path->ops->derp_ready(path->ctx, path->pool.home, connected);
}

/* -- home ----------------------------------------------------------------- */

/* Peers learn of a new home from control only. */
static bool may_change_home(const struct ts_path *path)
{
	return path->pool.home == 0 || path->control_up;
}

static void set_home(struct ts_path *path, int region)
{
	if (region == path->pool.home || !may_change_home(path))
		return;
	log_info("path: home is now derp-%d, was derp-%d", region,
		 path->pool.home);
	path->home_reported = false;
	ts_derp_pool_set_home(&path->pool, region, path->now_ms);
	if (ts_derp_pool_is_ready(&path->pool, region))
		tell_derp_ready(path, true);
}

static bool is_avoided(const struct ts_derp_region *region)
{
	return region->no_measure_no_home || region->avoid;
}

static bool can_connect(const struct ts_path *path, int region)
{
	static const struct ts_derp_route no_route;

	return ts_derp_pool_pick(&path->pool, region, &no_route) != 0;
}

static void end_race(struct ts_path *path, int winner)
{
	path->race.count = 0;
	set_home(path, winner);
	ts_path_tell_net_info(path);
}

/* The regions that are to be avoided only when there is no other. */
static void enter_race(struct ts_path *path, bool avoided)
{
	struct ts_path_race *race = &path->race;

	for (size_t i = 0; i < path->map->region_count; i++) {
		const struct ts_derp_region *region = &path->map->regions[i];

		if (race->count == PATH_RACE_MAX)
			return;
		if (is_avoided(region) == avoided &&
		    can_connect(path, region->id))
			race->regions[race->count++] = region->id;
	}
}

static void start_race(struct ts_path *path)
{
	struct ts_path_race *race = &path->race;
	int regions[PATH_RACE_MAX];
	size_t count;

	race->count = 0;
	enter_race(path, false);
	if (race->count == 0)
		enter_race(path, true);
	count = race->count;
	if (count == 0)
		return;
	race->fallback = race->regions[0];
	if (count == 1) {
		end_race(path, race->fallback);
		return;
	}
	/* A connection may fail, and leave the race, while others start. */
	for (size_t i = 0; i < count; i++)
		regions[i] = race->regions[i];
	for (size_t i = 0; i < count; i++)
		if (ts_derp_pool_connect(&path->pool, regions[i],
					 path->now_ms) != 0)
			ts_path_region_down(path, regions[i], path->now_ms);
}

/* What was said by the connection before this one may be lost. */
static void call_again(struct ts_path *path, int region)
{
	struct ts_path_peer *peer;
	size_t pos = 0;

	while ((peer = ts_key_map_next(&path->by_node_key, &pos))) {
		if (ts_derp_pool_pick(&path->pool, peer->home_derp,
				      &peer->route) != region)
			continue;
		ts_disco_peer_derp_is_up(&peer->disco, path->now_ms);
		ts_path_peer_rearm(peer);
	}
}

void ts_path_region_up(void *ctx, int region, uint64_t now_ms)
{
	struct ts_path *path = ctx;

	path->now_ms = now_ms;
	if (region == path->pool.home) {
		path->home_lost_ms = 0;
		tell_derp_ready(path, true);
	}
	if (path->race.count > 0)
		end_race(path, region);
	call_again(path, region);
}

static void leave_race(struct ts_path *path, int region)
{
	struct ts_path_race *race = &path->race;
	size_t left = 0;

	if (race->count == 0)
		return;
	for (size_t i = 0; i < race->count; i++)
		if (race->regions[i] != region)
			race->regions[left++] = race->regions[i];
	race->count = left;
	/* All failed: any will do, its connection is tried on and on. */
	if (left == 0 && path->pool.home == 0)
		end_race(path, race->fallback);
}

void ts_path_region_down(void *ctx, int region, uint64_t now_ms)
{
	struct ts_path *path = ctx;

	path->now_ms = now_ms;
	leave_race(path, region);
	if (region != path->pool.home)
		return;
	if (path->home_lost_ms == 0)
		path->home_lost_ms = now_ms;
	tell_derp_ready(path, false);
	/* Maybe another region is better now. */
	if (path->next_check_ms > path->last_check_ms + PATH_CHECK_TROUBLE_MS)
		path->next_check_ms =
			path->last_check_ms + PATH_CHECK_TROUBLE_MS;
}

/* -- checks --------------------------------------------------------------- */

static bool is_active(const struct ts_path *path)
{
	if (path->settings.always_stun)
		return true;
	return path->last_send_ms != 0 &&
	       path->now_ms < path->last_send_ms + DISCO_SESSION_ACTIVE_MS;
}

static void schedule_check(struct ts_path *path)
{
	uint64_t at_ms = UINT64_MAX;

	if (path->map && path->pool.home == 0 && !path->is_homeless)
		at_ms = path->now_ms + PATH_CHECK_TROUBLE_MS;
	else if (path->map && is_active(path))
		at_ms = path->now_ms + PATH_CHECK_MIN_MS +
			ts_random_below(PATH_CHECK_SPREAD_MS);
	path->next_check_ms = at_ms;
}

void ts_path_note_activity(struct ts_path *path)
{
	path->last_send_ms = path->now_ms;
	if (path->next_check_ms != UINT64_MAX || !path->map ||
	    path->netcheck.is_running)
		return;
	path->next_check_ms = path->last_check_ms + PATH_CHECK_MIN_MS;
}

void ts_path_resolve_names(struct ts_path *path, bool all)
{
	const char *host;
	size_t pos = 0;

	if (!path->ops->resolve)
		return;
	while ((host = ts_derp_names_next(&path->names, &pos, all)))
		path->ops->resolve(path->ctx, host);
}

/* Who can be asked has changed: a full check, now or after this one. */
void ts_path_resolved(struct ts_path *path, const char *host,
		      const struct ts_ip *ips, size_t count, uint64_t now_ms)
{
	path->now_ms = now_ms;
	if (!ts_derp_names_answered(&path->names, host, ips, count))
		return;
	if (path->netcheck.is_running)
		path->has_new_names = true;
	else
		ts_path_check_network(path, true);
}

static bool find_name(void *ctx, const char *host, bool want_v6,
		      struct ts_ip *out)
{
	const struct ts_path *path = ctx;

	return ts_derp_names_find(&path->names, host, want_v6, out);
}

void ts_path_check_network(struct ts_path *path, bool full)
{
	if (path->netcheck.is_running || !path->map)
		return;
	full |= path->now_ms >= path->next_full_ms;
	if (full) {
		path->next_full_ms = path->now_ms + PATH_CHECK_FULL_MS;
		ts_path_resolve_names(path, false);
	}
	path->has_new_names = false;
	path->last_check_ms = path->now_ms;
	path->next_check_ms = UINT64_MAX; /* set when this one ends */
	path->netcheck.no_stun = path->settings.tcp_only;
	if (ts_netcheck_start(&path->netcheck, path->map, path->pool.home, full,
			      path->now_ms) != 0)
		schedule_check(path);
}

void ts_path_doubt_network(struct ts_path *path)
{
	if (path->now_ms >= path->last_check_ms + PATH_CHECK_DOUBT_MS)
		path->endpoints.fresh_until_ms = 0;
	ts_derp_pool_doubt(&path->pool, path->now_ms);
}

/* The first address of each family, others when two servers agree. */
static size_t seen_addrs(const struct ts_netcheck_report *report,
			 struct ts_addr out[static NETCHECK_MAPPED_MAX])
{
	bool has_v4 = false, has_v6 = false;
	size_t count = 0;

	for (size_t i = 0; i < report->mapped_count; i++) {
		const struct ts_netcheck_mapped *m = &report->mapped[i];
		bool *has = ts_ip_is_v4(&m->addr.ip) ? &has_v4 : &has_v6;

		if (!*has || m->seen >= 2)
			out[count++] = m->addr;
		*has = true;
	}
	return count;
}

static bool take_guess(struct ts_path *path,
		       const struct ts_netcheck_report *report)
{
	const struct ts_endpoints *e = &path->endpoints;
	struct ts_addr guess;
	size_t i = 0;

	while (i < report->mapped_count &&
	       !ts_ip_is_v4(&report->mapped[i].addr.ip))
		i++;
	if (!path->config.port_is_fixed || e->local_count == 0 ||
	    report->mapping_varies != TS_YES || i == report->mapped_count)
		return ts_endpoints_set_guess(&path->endpoints, NULL);
	guess = report->mapped[i].addr;
	guess.port = e->local[0].port;
	return ts_endpoints_set_guess(&path->endpoints, &guess);
}

static void take_endpoints(struct ts_path *path,
			   const struct ts_netcheck_report *report)
{
	struct ts_addr seen[NETCHECK_MAPPED_MAX];
	size_t count = seen_addrs(report, seen);
	bool changed = take_guess(path, report);

	changed |= ts_endpoints_checked(&path->endpoints, seen, count,
					path->now_ms);
	if (changed)
		ts_path_tell_endpoints(path);
}

static bool has_answered(const struct ts_netcheck_report *report, int region)
{
	for (size_t i = 0; i < report->region_count; i++)
		if (report->regions[i].id == region)
			return report->regions[i].has_latency;
	return false;
}

static void choose_home(struct ts_path *path,
			const struct ts_netcheck_report *report)
{
	struct ts_home_old old = {
		.region = path->pool.home,
		.heard_ms = ts_derp_pool_heard_ms(&path->pool, path->pool.home),
	};
	int region = ts_home_region_choose(&path->history, report, path->map,
					   &old, path->now_ms);

	if (path->is_homeless)
		return;
	if (path->preferred_home && has_answered(report, path->preferred_home))
		region = path->preferred_home;
	if (region != 0)
		set_home(path, region);
	else if (path->race.count == 0 && may_change_home(path))
		start_race(path);
}

static void check_done(void *ctx, const struct ts_netcheck_report *report,
		       uint64_t now_ms)
{
	struct ts_path *path = ctx;

	path->now_ms = now_ms;
	take_endpoints(path, report);
	choose_home(path, report);
	ts_path_tell_net_info(path);
	ts_path_send_waiting(path);
	schedule_check(path);
	if (path->has_new_names) {
		path->next_full_ms = path->now_ms;
		path->next_check_ms = path->now_ms;
	}
	ts_path_end_asked(path, report);
}

/* -- another home, as somebody says --------------------------------------- */

static bool has_region(const struct ts_path *path, int region)
{
	for (size_t i = 0; i < path->map->region_count; i++)
		if (path->map->regions[i].id == region)
			return can_connect(path, region);
	return false;
}

int ts_path_pick_new_home(struct ts_path *path, uint64_t now_ms)
{
	size_t count = path->map ? path->map->region_count : 0;
	size_t first = count ? ts_random_below((uint32_t)count) : 0;

	path->now_ms = now_ms;
	if (!path->map)
		return -ENETDOWN;
	if (!may_change_home(path))
		return -EAGAIN;
	for (size_t i = 0; i < count; i++) {
		int region = path->map->regions[(first + i) % count].id;

		if (region == path->pool.home || !can_connect(path, region))
			continue;
		set_home(path, region);
		ts_path_tell_net_info(path);
		return 0;
	}
	return -ENOENT;
}

int ts_path_prefer_home(struct ts_path *path, int region, uint64_t now_ms)
{
	path->now_ms = now_ms;
	if (!path->map)
		return -ENETDOWN;
	if (region != 0 && !has_region(path, region))
		return -ENOENT;
	path->preferred_home = region;
	ts_path_check_network(path, true);
	return 0;
}

void ts_path_set_homeless(struct ts_path *path, bool homeless, uint64_t now_ms)
{
	path->now_ms = now_ms;
	path->is_homeless = homeless;
	path->race.count = homeless ? 0 : path->race.count;
	if (homeless && path->pool.home != 0) {
		log_info("path: no home relay from now on");
		ts_derp_pool_set_home(&path->pool, 0, now_ms);
		ts_path_tell_net_info(path);
	} else if (!homeless) {
		ts_path_check_network(path, true);
	}
}

/* -- checks that others ask for ------------------------------------------- */

void ts_path_end_asked(struct ts_path *path,
		       const struct ts_netcheck_report *report)
{
	while (path->asked_count > 0) {
		struct ts_path_asked *asked =
			&path->asked[--path->asked_count];

		asked->fn(asked->fn_ctx, report, path->pool.home);
	}
}

int ts_path_check(struct ts_path *path, uint64_t now_ms, ts_path_report_fn fn,
		  void *fn_ctx)
{
	path->now_ms = now_ms;
	if (!path->map)
		return -ENETDOWN;
	if (path->asked_count == PATH_ASKED_MAX)
		return -EAGAIN;
	path->asked[path->asked_count++] =
		(struct ts_path_asked){.fn = fn, .fn_ctx = fn_ctx};
	ts_path_check_network(path, true);
	return 0;
}

/* -- the check's own needs ------------------------------------------------ */

static void ask_https(void *ctx, int region, const struct ts_derp_node *node)
{
	struct ts_path *path = ctx;

	if (path->ops->derp_latency)
		path->ops->derp_latency(path->ctx, region, node);
	else
		ts_netcheck_https(&path->netcheck, region, 0, path->now_ms);
}

static void cancel_https(void *ctx)
{
	struct ts_path *path = ctx;

	if (path->ops->derp_latency_cancel)
		path->ops->derp_latency_cancel(path->ctx);
}

void ts_path_derp_latency(struct ts_path *path, int region, uint64_t latency_us,
			  uint64_t now_ms)
{
	path->now_ms = now_ms;
	ts_netcheck_https(&path->netcheck, region, latency_us, now_ms);
}

static void send_stun(void *ctx, const struct ts_addr *to, const uint8_t *pkt,
		      size_t len)
{
	struct ts_path *path = ctx;

	path->ops->udp_send(path->ctx, to, pkt, len);
}

const struct ts_netcheck_ops TS_PATH_NETCHECK_OPS = {
	.send = send_stun,
	.find = find_name,
	.https = ask_https,
	.https_cancel = cancel_https,
	.done = check_done,
};
