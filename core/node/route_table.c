/* SPDX-License-Identifier: BSD-3-Clause
 * route_table.c - longest-prefix match over the peers' subnet routes
 * Source: net/routemanager/routemanager.go (semantics)
 */
#include "core/node/route_table.h"

#include <string.h>

enum { KEY_LEN = 1 + TS_IP_LEN, IP_BITS = 128 };

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
	ts_key_map_deinit(&t->by_prefix);
}

int route_table_add(struct route_table *t, const struct ts_prefix *prefix,
		    void *owner)
{
	uint8_t key[KEY_LEN];
	int err;

	make_key(key, &prefix->ip, prefix->bits);
	if (ts_key_map_get(&t->by_prefix, key))
		return 0;
	err = ts_key_map_put(&t->by_prefix, key, owner);
	if (!err)
		t->count[prefix->bits]++;
	return err;
}

void route_table_remove(struct route_table *t, const struct ts_prefix *prefix,
			const void *owner)
{
	uint8_t key[KEY_LEN];

	make_key(key, &prefix->ip, prefix->bits);
	if (ts_key_map_get(&t->by_prefix, key) != owner)
		return;
	ts_key_map_take(&t->by_prefix, key);
	t->count[prefix->bits]--;
}

void *route_table_find(const struct route_table *t, const struct ts_ip *ip)
{
	/* 0.0.0.0/0 is ::ffff:0:0/96 here and ::/0 must not catch IPv4 */
	unsigned least = ts_ip_is_v4(ip) ? 96 : 0;

	for (unsigned bits = IP_BITS + 1; bits-- > least;) {
		uint8_t key[KEY_LEN];
		void *owner;

		if (t->count[bits] == 0)
			continue;
		make_key(key, ip, bits);
		owner = ts_key_map_get(&t->by_prefix, key);
		if (owner)
			return owner;
	}
	return NULL;
}
