/* SPDX-License-Identifier: BSD-3-Clause
 * route_table.c - longest-prefix match over the peers' subnet routes
 * Source: net/routemanager/routemanager.go (semantics)
 */
#include "core/node/route_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_LEN = 1 + TS_IP_LEN, IP_BITS = 128 };

/* The owners of one prefix, by ascending ID; never empty. */
struct route {
	size_t count;
	int64_t owners[];
};

static void make_key(uint8_t key[static KEY_LEN], const struct ts_ip *ip,
		     unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	memset(key, 0, KEY_LEN);
	key[0] = (uint8_t)bits;
	memcpy(key + 1, ip->bytes, whole);
	if (rest > 0)
		key[1 + whole] =
			(uint8_t)(ip->bytes[whole] & (0xff00 >> rest));
}

void route_table_init(struct route_table *t, uint64_t seed)
{
	memset(t, 0, sizeof(*t));
	ts_key_map_init(&t->by_prefix, KEY_LEN, seed);
}

void route_table_deinit(struct route_table *t)
{
	struct route *route;
	size_t pos = 0;

	while ((route = ts_key_map_next(&t->by_prefix, &pos)))
		free(route);
	ts_key_map_deinit(&t->by_prefix);
}

static size_t place_of(const struct route *route, int64_t owner)
{
	size_t at = 0;

	while (at < route->count && route->owners[at] < owner)
		at++;
	return at;
}

static bool has_owner(const struct route *route, int64_t owner)
{
	size_t at = place_of(route, owner);

	return at < route->count && route->owners[at] == owner;
}

/* A copy of old (or of nothing) with owner in its place. */
static struct route *with_owner(const struct route *old, int64_t owner)
{
	size_t count = old ? old->count : 0;
	size_t at = old ? place_of(old, owner) : 0;
	struct route *route =
		malloc(sizeof(*route) + (count + 1) * sizeof(int64_t));

	if (!route)
		return NULL;
	route->count = count + 1;
	for (size_t i = 0; i < at; i++)
		route->owners[i] = old->owners[i];
	route->owners[at] = owner;
	for (size_t i = at; i < count; i++)
		route->owners[i + 1] = old->owners[i];
	return route;
}

int route_table_add(struct route_table *t, const struct ts_prefix *prefix,
		    int64_t owner)
{
	uint8_t key[KEY_LEN];
	struct route *old, *route;
	int err;

	make_key(key, &prefix->ip, prefix->bits);
	old = ts_key_map_get(&t->by_prefix, key);
	if (old && has_owner(old, owner))
		return 0;
	route = with_owner(old, owner);
	err = route ? ts_key_map_put(&t->by_prefix, key, route) : -ENOMEM;
	if (err) {
		free(route);
		return err;
	}
	if (!old)
		t->count[prefix->bits]++;
	free(old);
	return 0;
}

void route_table_remove(struct route_table *t, const struct ts_prefix *prefix,
			int64_t owner)
{
	uint8_t key[KEY_LEN];
	struct route *route;
	size_t at;

	make_key(key, &prefix->ip, prefix->bits);
	route = ts_key_map_get(&t->by_prefix, key);
	if (!route || !has_owner(route, owner))
		return;
	at = place_of(route, owner);
	route->count--;
	for (size_t i = at; i < route->count; i++)
		route->owners[i] = route->owners[i + 1];
	if (route->count > 0)
		return;
	free(ts_key_map_take(&t->by_prefix, key));
	t->count[prefix->bits]--;
}

static const struct route *longest(const struct route_table *t,
				   const struct ts_ip *ip)
{
	/* 0.0.0.0/0 is ::ffff:0:0/96 here and ::/0 must not catch IPv4 */
	unsigned least = ts_ip_is_v4(ip) ? 96 : 0;

	for (unsigned bits = IP_BITS + 1; bits-- > least;) {
		uint8_t key[KEY_LEN];
		const struct route *route;

		if (t->count[bits] == 0)
			continue;
		make_key(key, ip, bits);
		route = ts_key_map_get(&t->by_prefix, key);
		if (route)
			return route;
	}
	return NULL;
}

int64_t route_table_find(const struct route_table *t, const struct ts_ip *ip)
{
	const struct route *route = longest(t, ip);

	return route ? route->owners[0] : 0;
}

bool route_table_is_owner(const struct route_table *t, const struct ts_ip *ip,
			  int64_t owner)
{
	const struct route *route = longest(t, ip);

	return route && has_owner(route, owner);
}
