/* SPDX-License-Identifier: BSD-3-Clause
 */
#include "unit/addresses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/model/netmap_edit.h"

static struct ts_peer *make_peer(int64_t id, uint8_t key, const char *ip)
{
	struct ts_peer *peer = ts_peer_new();

	peer->id = id;
	memset(&peer->key, key, sizeof(peer->key));
	peer->addresses = calloc(2, sizeof(*peer->addresses));
	peer->address_count = 2;
	assert_int_equal(ts_prefix_parse(ip, &peer->addresses[0]), 0);
	ts_prefix_parse("10.0.0.0/8", &peer->addresses[1]);
	return peer;
}

static void peers_are_found_by_id_key_and_address(void **state)
{
	struct ts_netmap *map = ts_netmap_new();
	struct ts_peer *a = make_peer(1, 0xa, "100.64.0.1/32");
	struct ts_peer *b = make_peer(INT64_MAX, 0xb, "fd7a::1/128");
	struct ts_ip ip = ip_of("100.64.0.1"), net = ip_of("10.0.0.0");
	size_t pos = 0, n = 0;

	(void)state;
	assert_int_equal(ts_netmap_add_peer(map, a), 0);
	assert_int_equal(ts_netmap_add_peer(map, b), 0);
	assert_ptr_equal(ts_netmap_peer_by_id(map, INT64_MAX), b);
	assert_ptr_equal(ts_netmap_peer_by_key(map, &b->key), b);
	assert_ptr_equal(ts_netmap_peer_by_ip(map, &ip), a);
	assert_null(ts_netmap_peer_by_ip(map, &net)); /* not a host */
	while (ts_netmap_next_peer(map, &pos))
		n++;
	assert_int_equal(n, 2);
	assert_int_equal(ts_netmap_peer_count(map), 2);
	ts_netmap_take_peer(map, a);
	assert_null(ts_netmap_peer_by_ip(map, &ip));
	ts_peer_free(a);
	ts_netmap_free(map);
}

static void an_update_moves_the_indexes_and_keeps_the_place(void **state)
{
	struct ts_netmap *map = ts_netmap_new();
	struct ts_peer *a = make_peer(1, 0xa, "100.64.0.1/32");
	struct ts_ip old_ip = ip_of("100.64.0.1"), ip = ip_of("100.64.0.9");
	struct ts_public_key old_key = a->key;

	(void)state;
	a->node_data = map;
	ts_netmap_add_peer(map, a);
	assert_int_equal(ts_netmap_update_peer(
				 map, a, make_peer(1, 0xc, "100.64.0.9/32")),
			 0);
	assert_ptr_equal(ts_netmap_peer_by_id(map, 1), a);
	assert_ptr_equal(a->node_data, map);
	assert_null(ts_netmap_peer_by_key(map, &old_key));
	assert_null(ts_netmap_peer_by_ip(map, &old_ip));
	assert_ptr_equal(ts_netmap_peer_by_ip(map, &ip), a);
	assert_int_equal(ts_netmap_set_peer_key(map, a, &old_key), 0);
	assert_ptr_equal(ts_netmap_peer_by_key(map, &old_key), a);
	ts_netmap_free(map);
}

static void peers_without_a_key_are_not_indexed_by_it(void **state)
{
	struct ts_netmap *map = ts_netmap_new();
	struct ts_public_key zero = {{0}};

	(void)state;
	ts_netmap_add_peer(map, make_peer(1, 0, "100.64.0.1/32"));
	assert_null(ts_netmap_peer_by_key(map, &zero));
	ts_netmap_free(map);
}

static void addresses_by_family(void **state)
{
	struct ts_peer *peer = make_peer(1, 1, "fd7a::1/128");
	struct ts_ip ip6 = ip_of("fd7a::1"), found;

	(void)state;
	found = ts_peer_ip(peer, true);
	assert_true(ts_ip_equal(&found, &ip6));
	found = ts_peer_ip(peer, false); /* 10.0.0.0/8 is no address */
	assert_true(ts_ip_is_zero(&found));
	ts_peer_free(peer);
}

static void magic_suffix_is_the_name_behind_the_first_label(void **state)
{
	static const struct {
		const char *name, *suffix;
	} cases[] = {
		{"a.tail.ts.net.", "tail.ts.net"}, {"a.b", "b"},
		{"a.", NULL},			   {"a", NULL},
		{"", NULL},			   {NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts_netmap *map = ts_netmap_new();
		char *suffix;

		assert_null(ts_netmap_magic_suffix(map));
		map->self = ts_peer_new();
		if (cases[i].name)
			map->self->name = strdup(cases[i].name);
		suffix = ts_netmap_magic_suffix(map);
		if (cases[i].suffix)
			assert_string_equal(suffix, cases[i].suffix);
		else
			assert_null(suffix);
		free(suffix);
		ts_netmap_free(map);
	}
}

static void put_filter(struct ts_netmap *map, const char *name, size_t count)
{
	struct ts_named_filter named = {
		.name = strdup(name),
		.rules = calloc(count + 1, sizeof(struct ts_filter_rule)),
		.rule_count = count,
	};

	for (size_t i = 0; i < count; i++) {
		named.rules[i].srcs = calloc(1, sizeof(struct ts_filter_src));
		named.rules[i].src_count = 1;
		named.rules[i].srcs[0].node_cap = strdup(name);
	}
	assert_int_equal(ts_netmap_put_filter(map, &named), 0);
}

static void filters_are_joined_by_name(void **state)
{
	struct ts_netmap *map = ts_netmap_new();

	(void)state;
	put_filter(map, "b", 2);
	put_filter(map, "c", 1);
	put_filter(map, "a", 1);
	assert_int_equal(ts_netmap_join_filters(map), 0);
	assert_int_equal(map->filter_rule_count, 4);
	assert_string_equal(map->filter[0].srcs[0].node_cap, "a");
	assert_string_equal(map->filter[3].srcs[0].node_cap, "c");
	put_filter(map, "b", 0);
	assert_null(map->filter); /* stale until joined again */
	ts_netmap_drop_filter(map, "a");
	ts_netmap_drop_filter(map, "none");
	assert_int_equal(ts_netmap_join_filters(map), 0);
	assert_int_equal(map->filter_rule_count, 1);
	ts_netmap_free(map);
}

static void users_are_replaced_by_id(void **state)
{
	struct ts_netmap *map = ts_netmap_new();

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ts_user_profile *user = calloc(1, sizeof(*user));

		user->id = 5;
		user->login_name = strdup(i ? "new" : "old");
		assert_int_equal(ts_netmap_put_user(map, user), 0);
	}
	assert_string_equal(ts_netmap_user(map, 5)->login_name, "new");
	assert_null(ts_netmap_user(map, 6));
	ts_netmap_free(map);
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_are_found_by_id_key_and_address),
		cmocka_unit_test(
			an_update_moves_the_indexes_and_keeps_the_place),
		cmocka_unit_test(peers_without_a_key_are_not_indexed_by_it),
		cmocka_unit_test(addresses_by_family),
		cmocka_unit_test(
			magic_suffix_is_the_name_behind_the_first_label),
		cmocka_unit_test(filters_are_joined_by_name),
		cmocka_unit_test(users_are_replaced_by_id),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
