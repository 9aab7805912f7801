/* SPDX-License-Identifier: BSD-3-Clause
 * local_nets.c - which destinations of packets are ours to take
 */
#include "core/filter/local_nets.h"

#include "core/base/err.h"

static const char *const NOT_THE_INTERNET[] = {
	"10.0.0.0/8",	  "172.16.0.0/12", "192.168.0.0/16",
	"169.254.0.0/16", "127.0.0.0/8",   "0.0.0.0/8",
	"224.0.0.0/4",	  "240.0.0.0/4",   "100.64.0.0/10",
	"fe80::/10",	  "ff00::/8",	   "fd7a:115c:a1e0::/48",
	"::/127",
};

int ts_ip_sets_add(struct ts_ip_set sets[static TS_FAMILY_COUNT],
		   const struct ts_prefix *prefixes, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		struct ts_ip_range range = ts_ip_range_of_prefix(&prefixes[i]);

		if (ts_ip_range_is_valid(&range))
			err = ts_ip_set_add(
				&sets[ts_ip_family_of(&range.first)], &range);
	}
	for (int f = 0; f < TS_FAMILY_COUNT; f++)
		ts_ip_set_seal(&sets[f]);
	return err;
}

static int add_near(struct ts_local_nets *nets,
		    const struct ts_local_routes *routes)
{
	int err = 0;

	for (size_t i = 0; i < routes->route_count && !err; i++)
		if (!ts_prefix_is_default(&routes->routes[i]))
			err = ts_ip_sets_add(nets->near, &routes->routes[i],
					     1);
	return err;
}

static int add_kept(struct ts_local_nets *nets,
		    const struct ts_local_routes *routes)
{
	int err = ts_ip_sets_add(nets->kept, routes->lans, routes->lan_count);

	for (size_t i = 0; i < ARRAY_LEN(NOT_THE_INTERNET) && !err; i++) {
		struct ts_prefix p;

		err = ts_prefix_parse(NOT_THE_INTERNET[i], &p);
		if (!err)
			err = ts_ip_sets_add(nets->kept, &p, 1);
	}
	return err;
}

int ts_local_nets_init(struct ts_local_nets *nets, const struct ts_prefix *own,
		       size_t own_count, const struct ts_local_routes *routes)
{
	int err = ts_ip_sets_add(nets->near, own, own_count);

	if (!err)
		err = ts_ip_sets_add(nets->all, own, own_count);
	if (err || !routes)
		return err;
	err = add_near(nets, routes);
	if (!err)
		err = ts_ip_sets_add(nets->all, routes->routes,
				     routes->route_count);
	return err ? err : add_kept(nets, routes);
}

void ts_local_nets_deinit(struct ts_local_nets *nets)
{
	for (int f = 0; f < TS_FAMILY_COUNT; f++) {
		ts_ip_set_deinit(&nets->all[f]);
		ts_ip_set_deinit(&nets->near[f]);
		ts_ip_set_deinit(&nets->kept[f]);
	}
}

bool ts_local_nets_contain(const struct ts_local_nets *nets,
			   const struct ts_ip *ip)
{
	enum ts_ip_family f = ts_ip_family_of(ip);

	if (ts_ip_set_contains(&nets->near[f], ip))
		return true;
	return ts_ip_set_contains(&nets->all[f], ip) &&
	       !ts_ip_set_contains(&nets->kept[f], ip);
}
