/* SPDX-License-Identifier: BSD-3-Clause
 * Each kind of delta of PROTOCOL 4.4 and the merging of 4.5.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <malloc.h>

#include "core/control/netmap_apply.h"
#include "core/crypto/secret.h"
#include "core/model/netmap_edit.h"

#define KEY(c)                                                                 \
	"nodekey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c
#define DISCO(c)                                                               \
	"discokey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c

struct fixture {
	struct ts_netmap *map;
	unsigned changes, upserts, removals;
	int64_t now;
	int err;
};

static void on_upserted(void *ctx, struct ts_peer *peer)
{
	struct fixture *f = ctx;

	assert_ptr_equal(ts_netmap_peer_by_id(f->map, peer->id), peer);
	f->upserts++;
}

static void on_removed(void *ctx, struct ts_peer *peer)
{
	struct fixture *f = ctx;

	assert_ptr_not_equal(ts_netmap_peer_by_id(f->map, peer->id), peer);
	f->removals++;
}

static int apply_text(struct fixture *f, const char *json, bool is_first)
{
	struct ts_netmap_sink sink = {on_upserted, on_removed, f};
	struct ts_map_response msg;
	int err = ts_map_response_read(json, strlen(json), &msg);

	if (err)
		return err;
	f->upserts = f->removals = 0;
	err = ts_netmap_apply(f->map, &msg, is_first, f->now, &sink,
			      &f->changes);
	ts_map_response_deinit(&msg);
	return err;
}

static void delta(struct fixture *f, const char *json)
{
	assert_int_equal(apply_text(f, json, false), 0);
}

static struct ts_peer *peer(struct fixture *f, int64_t id)
{
	struct ts_peer *p = ts_netmap_peer_by_id(f->map, id);

	assert_non_null(p);
	return p;
}

/* As Tailscale's server sends it: self, two peers, everything filled in. */
static const char FIRST[] =
	"{\"Node\":{\"ID\":1,\"StableID\":\"nSELF\",\"Name\":"
	"\"me.tail.ts.net.\",\"User\":7,\"Key\":\"" KEY("aa") "\","
	"\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"],"
	"\"Capabilities\":[\"https\"],\"CapMap\":{\"funnel\":null}},"
	"\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"two.tail.ts."
	"net.\",\"User\":8,\"Key\":\"" KEY("22") "\",\"DiscoKey\":\"" DISCO(
		"d2") "\",\"Addresses\":[\"100.64.0.2/32\"],\"Endpoints\":["
		      "\"192.0.2.2:41641\",\"[2001:db8::2]:41641\"],"
		      "\"HomeDERP\":3,\"Online\":true,\"Cap\":100,"
		      "\"LastSeen\":\"2023-11-14T00:00:00.123Z\","
		      "\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":\"two\","
		      "\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":1234},"
		      "{\"Proto\":\"peerapi6\",\"Port\":1235}]}},"
		      "{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"three.\","
		      "\"User\":7,\"Sharer\":8,\"Key\":\"" KEY("33") "\","
		      "\"Addresses\":[\"100.64.0.3/32\"],\"AllowedIPs\":[],"
		      "\"DERP\":\"127.3.3.40:17\"}],"
		      "\"DERPMap\":{\"HomeParams\":{\"RegionScore\":{\"1\":"
		      "0.5}},\"Regions\":{\"1\":{\"RegionID\":1,"
		      "\"RegionCode\":\"nyc\",\"Nodes\":[{\"Name\":\"1a\","
		      "\"RegionID\":1,\"HostName\":\"derp1.example\"}]},"
		      "\"900\":{\"RegionID\":900,\"Nodes\":[{\"Name\":\"x\","
		      "\"STUNPort\":-1,\"DERPPort\":8443}]},\"2\":null}},"
		      "\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"tail.ts."
		      "net\"],\"ExtraRecords\":[{\"Name\":\"Web.Tail.\","
		      "\"Value\":\"100.64.0.9\"}]},\"Domain\":\"ex.com\","
		      "\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{"
		      "\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]"
		      "}],\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"a@x\"},"
		      "{\"ID\":8,\"LoginName\":\"b@x\"}],\"Health\":[\"h\"],"
		      "\"TKAInfo\":{\"Head\":\"HEAD\"}}";

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	ts_crypto_init();
	f->map = ts_netmap_new();
	f->now = 1700000000; /* 2023-11-14T22:13:20Z */
	f->err = apply_text(f, FIRST, true);
	*state = f;
	return f->err;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ts_netmap_free(f->map);
	free(f);
	return 0;
}

static void first_message_fills_everything(void **state)
{
	struct fixture *f = *state;
	const struct ts_netmap *map = f->map;
	struct ts_peer *two = peer(f, 2), *three = peer(f, 3);
	char *suffix = ts_netmap_magic_suffix(map);
	struct ts_ip ip;

	assert_int_equal(f->upserts, 2);
	assert_int_equal(f->changes, 0x1ff);
	assert_string_equal(suffix, "tail.ts.net");
	free(suffix);
	assert_true(ts_peer_has_cap(map->self, "https"));
	assert_true(ts_peer_has_cap(map->self, "funnel"));
	assert_false(ts_peer_has_cap(map->self, "x"));
	assert_int_equal(two->allowed_ip_count, 1); /* null: as Addresses */
	assert_int_equal(three->allowed_ip_count, 0); /* [] : none */
	assert_int_equal(three->home_derp, 17);
	assert_int_equal(two->endpoint_count, 2);
	assert_int_equal(two->peerapi4_port, 1234);
	assert_int_equal(two->peerapi6_port, 1235);
	assert_string_equal(two->hostname, "two");
	assert_string_equal(ts_netmap_owner(map, three)->login_name, "b@x");
	assert_string_equal(ts_netmap_owner(map, map->self)->login_name,
			    "a@x");
	assert_ptr_equal(ts_netmap_peer_by_key(map, &two->key), two);
	ts_ip_parse("100.64.0.3", &ip);
	assert_ptr_equal(ts_netmap_peer_by_ip(map, &ip), three);
	assert_true(map->tka_enabled);
	assert_true(map->dns->magic_dns);
	assert_string_equal(map->dns->extra_records[0].name, "web.tail");
	assert_true(map->has_filter);
	assert_int_equal(map->filter_rule_count, 1);
	assert_int_equal(map->filter[0].src_count, 2); /* v4 and v6 */
	assert_string_equal(map->health[0], "h");
}

static void derp_map_has_defaults_and_no_null_regions(void **state)
{
	struct fixture *f = *state;
	const struct ts_derp_map *derp = f->map->derp_map;
	const struct ts_derp_region *region = ts_derp_map_region(derp, 1);

	assert_int_equal(derp->region_count, 2);
	assert_null(ts_derp_map_region(derp, 2));
	assert_int_equal(region->nodes[0].derp_port, 443);
	assert_int_equal(region->nodes[0].stun_port, 3478);
	assert_true(derp->region_scores[0] == 0.5);
	region = ts_derp_map_region(derp, 900);
	assert_int_equal(region->nodes[0].derp_port, 8443);
	assert_int_equal(region->nodes[0].stun_port, -1);
}

static void derp_maps_merge(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"DERPMap\":{\"Regions\":null,\"HomeParams\":{"
		 "\"RegionScore\":{\"900\":2}}}}");
	assert_int_equal(f->changes, TS_CHANGED_DERP_MAP);
	assert_int_equal(f->map->derp_map->region_count, 2);
	assert_true(f->map->derp_map->region_scores[0] == 0);
	assert_true(f->map->derp_map->region_scores[1] == 2);
	delta(f, "{\"DERPMap\":{\"Regions\":{\"900\":{\"RegionID\":900}},"
		 "\"HomeParams\":{\"RegionScore\":null}}}");
	assert_int_equal(f->map->derp_map->region_count, 1);
	assert_true(f->map->derp_map->region_scores[0] == 2);
	delta(f, "{\"DERPMap\":{\"Regions\":{}}}");
	assert_int_equal(f->map->derp_map->region_count, 0);
	delta(f, "{\"DERPMap\":null}");
	assert_int_equal(f->changes, 0);
}

static void a_full_list_replaces_and_silences_the_deltas(void **state)
{
	struct fixture *f = *state;
	struct ts_peer *two = peer(f, 2);

	two->node_data = f;
	delta(f, "{\"Peers\":[{\"ID\":2,\"Name\":\"new.\"},{\"ID\":4}],"
		 "\"PeersRemoved\":[2],\"OnlineChange\":{\"4\":true},"
		 "\"PeersChangedPatch\":[{\"NodeID\":4,\"DERPRegion\":9}]}");
	assert_int_equal(f->upserts, 2);
	assert_int_equal(f->removals, 1);
	assert_ptr_equal(peer(f, 2), two); /* same place, new contents */
	assert_ptr_equal(two->node_data, f);
	assert_string_equal(two->name, "new.");
	assert_int_equal(peer(f, 4)->home_derp, 0);
	assert_int_equal(peer(f, 4)->online, TS_UNKNOWN);
	assert_null(ts_netmap_peer_by_id(f->map, 3));
}

static void empty_and_null_lists_change_nothing(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"Peers\":[],\"PeersChanged\":null,\"PacketFilter\":null,"
		 "\"PacketFilters\":null,\"Health\":null,\"DNSConfig\":null,"
		 "\"Domain\":\"\",\"Node\":null,\"UserProfiles\":[]}");
	assert_int_equal(f->changes, 0);
	assert_int_equal(ts_netmap_peer_count(f->map), 2);
}

static void changed_nodes_keep_what_is_absent(void **state)
{
	struct fixture *f = *state;
	struct ts_peer *two = peer(f, 2);

	/* Equal but for patchable fields; no Online, LastSeen, HomeDERP. */
	delta(f,
	      "{\"PeersChanged\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":"
	      "\"two.tail.ts.net.\",\"User\":8,\"Key\":\"" KEY("2f") "\","
	      "\"Addresses\":[\"100.64.0.2/32\"],\"Hostinfo\":{\"OS\":"
	      "\"linux\",\"Hostname\":\"two\",\"Services\":[{\"Proto\":"
	      "\"peerapi4\",\"Port\":1234},{\"Proto\":\"peerapi6\","
	      "\"Port\":1235}]},\"CapMap\":{\"c\":null}}]}");
	assert_int_equal(two->online, TS_YES);
	assert_int_equal(two->last_seen_unix, 1699920000);
	assert_int_equal(two->home_derp, 3);
	assert_int_equal(two->cap, 100);
	assert_int_equal(two->endpoint_count, 2);
	assert_true(ts_public_key_is_zero(&two->disco_key));
	assert_int_equal(two->key.bytes[0], 0x2f);
	assert_ptr_equal(ts_netmap_peer_by_key(f->map, &two->key), two);
	assert_true(ts_peer_has_cap(two, "c"));
	/* Another name: a different node, taken as it is. */
	delta(f, "{\"PeersChanged\":[{\"ID\":2,\"Name\":\"other.\"}]}");
	assert_int_equal(two->online, TS_UNKNOWN);
	assert_int_equal(two->home_derp, 0);
	assert_int_equal(two->endpoint_count, 0);
	assert_null(two->cap_map);
}

static void removed_comes_before_changed(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"PeersChanged\":[{\"ID\":2,\"Name\":\"again.\"}],"
		 "\"PeersRemoved\":[2,3,99]}");
	assert_int_equal(f->removals, 2);
	assert_int_equal(f->upserts, 1);
	assert_string_equal(peer(f, 2)->name, "again.");
	assert_int_equal(ts_netmap_peer_count(f->map), 1);
}

static void seen_online_and_patch_come_last(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"Online\":true,"
		 "\"DERPRegion\":5,\"Cap\":7,\"Endpoints\":[\"1.2.3.4:5\"],"
		 "\"KeyExpiry\":\"2030-01-01T00:00:00Z\",\"CapMap\":{}},"
		 "{\"NodeID\":99,\"Online\":true}],"
		 "\"OnlineChange\":{\"2\":false,\"3\":false,\"99\":true},"
		 "\"PeerSeenChange\":{\"2\":false,\"3\":true}}");
	assert_int_equal(peer(f, 2)->online, TS_NO);
	assert_int_equal(peer(f, 2)->last_seen_unix, 0);
	assert_int_equal(peer(f, 3)->online, TS_YES);
	assert_int_equal(peer(f, 3)->last_seen_unix, f->now);
	assert_int_equal(peer(f, 3)->home_derp, 5);
	assert_int_equal(peer(f, 3)->endpoint_count, 1);
	assert_int_equal(peer(f, 3)->key_expiry_unix, 1893456000);
	assert_int_equal(f->upserts, 2);
	delta(f, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"Endpoints\":[],"
		 "\"Key\":\"" KEY("3f") "\"}]}");
	assert_int_equal(peer(f, 3)->endpoint_count, 0);
	assert_ptr_equal(ts_netmap_peer_by_key(f->map, &peer(f, 3)->key),
			 peer(f, 3));
}

static void a_stale_disco_key_is_not_taken(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DiscoKey\":\"" DISCO(
			 "0f") "\",\"Online\":false,\"DERPRegion\":8,"
			       "\"LastSeen\":\"2023-11-14T00:00:00Z\"}]}");
	assert_int_equal(peer(f, 2)->disco_key.bytes[0], 0xd2);
	assert_int_equal(peer(f, 2)->home_derp, 3);
	delta(f, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DiscoKey\":\"" DISCO(
			 "0f") "\",\"Online\":false,"
			       "\"LastSeen\":\"2023-11-14T00:00:01Z\"}]}");
	assert_int_equal(peer(f, 2)->disco_key.bytes[0], 0x0f);
}

static void expired_peers_are_marked(void **state)
{
	struct ts_netmap_sink sink = {on_upserted, on_removed, *state};
	struct fixture *f = *state;

	delta(f, "{\"PeersChanged\":[{\"ID\":5,\"Expired\":true},{\"ID\":6,"
		 "\"KeyExpiry\":\"2023-11-14T22:13:20Z\"},{\"ID\":7,"
		 "\"KeyExpiry\":\"2023-11-14T22:15:00Z\"},{\"ID\":8,"
		 "\"KeyExpiry\":\"0001-01-01T00:00:00Z\"}]}");
	assert_true(peer(f, 5)->expired);
	assert_true(peer(f, 6)->expired);
	assert_false(peer(f, 7)->expired);
	assert_false(peer(f, 8)->expired);
	f->upserts = 0;
	assert_int_equal(ts_netmap_expire_peers(f->map, f->now + 99, &sink), 0);
	assert_int_equal(ts_netmap_expire_peers(f->map, f->now + 100, &sink),
			 1);
	assert_int_equal(f->upserts, 1);
	assert_true(peer(f, 7)->expired);
	delta(f, "{\"PeersChangedPatch\":[{\"NodeID\":7,\"KeyExpiry\":"
		 "\"2033-01-01T00:00:00Z\"}]}");
	assert_false(peer(f, 7)->expired);
}

/* What is due first changes in every way that there is. */
static void peers_expire_one_after_the_other(void **state)
{
	struct ts_netmap_sink sink = {on_upserted, on_removed, *state};
	struct fixture *f = *state;

	delta(f, "{\"PeersChanged\":[{\"ID\":5,\"KeyExpiry\":"
		 "\"2023-11-14T22:15:00Z\"},{\"ID\":6,\"KeyExpiry\":"
		 "\"2023-11-14T22:16:00Z\"},{\"ID\":7}]}");
	assert_int_equal(ts_netmap_expire_peers(f->map, f->now, &sink), 0);
	delta(f, "{\"PeersChangedPatch\":[{\"NodeID\":7,\"KeyExpiry\":"
		 "\"2023-11-14T22:14:00Z\"}]}"); /* +40 s, before the others */
	delta(f, "{\"PeersRemoved\":[5]}");
	assert_int_equal(ts_netmap_expire_peers(f->map, f->now + 39, &sink), 0);
	assert_int_equal(ts_netmap_expire_peers(f->map, f->now + 40, &sink), 1);
	assert_true(peer(f, 7)->expired);
	assert_int_equal(ts_netmap_expire_peers(f->map, f->now + 159, &sink),
			 0);
	delta(f, "{\"PeersChanged\":[{\"ID\":8,\"KeyExpiry\":"
		 "\"2023-11-14T22:15:20Z\"}]}"); /* +120 s */
	assert_int_equal(ts_netmap_expire_peers(f->map, f->now + 160, &sink),
			 2);
	assert_true(peer(f, 6)->expired && peer(f, 8)->expired);
}

static void control_time_shifts_expiry(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"ControlTime\":\"2023-11-14T22:14:20Z\"}"); /* +60 s */
	assert_int_equal(f->map->control_time_delta_s, 0);
	delta(f, "{\"ControlTime\":\"2023-11-14T22:14:21Z\","
		 "\"PeersChanged\":[{\"ID\":7,\"KeyExpiry\":"
		 "\"2023-11-14T22:14:21Z\"}]}");
	assert_int_equal(f->map->control_time_delta_s, 61);
	assert_true(peer(f, 7)->expired);
	delta(f, "{\"Node\":{\"ID\":1,\"KeyExpiry\":"
		 "\"2023-11-14T22:14:21Z\"}}");
	assert_true(ts_netmap_self_expired(f->map, f->now));
	assert_false(ts_netmap_self_expired(f->map, f->now - 1));
}

static size_t rules(struct fixture *f)
{
	return f->map->filter_rule_count;
}

#define RULE(ip)                                                               \
	"{\"SrcIPs\":[\"" ip "\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"   \
	"\"First\":1,\"Last\":2}}]}"

static void named_filters_are_joined_in_name_order(void **state)
{
	struct fixture *f = *state;
	struct ts_ip first;

	delta(f, "{\"PacketFilters\":{\"zz\":[" RULE("3.3.3.3") "],\"aa\":["
		 RULE("1.1.1.1") "," RULE("2.2.2.2") "]}}");
	assert_int_equal(f->changes, TS_CHANGED_FILTER);
	assert_int_equal(rules(f), 4); /* aa, base, zz */
	ts_ip_parse("1.1.1.1", &first);
	assert_true(ts_ip_equal(&f->map->filter[0].srcs[0].prefix.ip, &first));
	delta(f, "{\"PacketFilters\":{\"aa\":[]}}");
	assert_int_equal(rules(f), 2);
	delta(f, "{\"PacketFilters\":{\"zz\":null,\"nope\":null}}");
	assert_int_equal(rules(f), 1);
	delta(f, "{\"PacketFilter\":[]}");
	assert_int_equal(rules(f), 0);
	assert_true(f->map->has_filter);
	delta(f, "{\"PacketFilter\":[" RULE("1.1.1.1") "],"
		 "\"PacketFilters\":{\"x\":[" RULE("1.1.1.1") "],\"*\":null}}");
	assert_int_equal(rules(f), 1); /* base went, x came after */
	assert_int_equal(f->map->named_filter_count, 1);
}

static void bits_anywhere_deny_everything(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"PacketFilters\":{\"x\":[{\"SrcIPs\":[\"1.1.1.1\"],"
		 "\"SrcBits\":[8],\"DstPorts\":[]}]}}");
	assert_int_equal(rules(f), 0);
	delta(f, "{\"PacketFilters\":{\"x\":null}}");
	assert_int_equal(rules(f), 1);
}

static void health_and_messages(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"Health\":[\"a\",\"b\"],\"DisplayMessages\":{\"m1\":{"
		 "\"Title\":\"t\"},\"m2\":{\"Title\":\"u\"}}}");
	assert_int_equal(f->map->health_count, 2);
	assert_int_equal(json_object_size(f->map->display_messages), 2);
	delta(f, "{\"Health\":[],\"DisplayMessages\":{\"m1\":null}}");
	assert_int_equal(f->map->health_count, 0);
	assert_int_equal(json_object_size(f->map->display_messages), 1);
	delta(f, "{\"DisplayMessages\":{\"m3\":{\"Title\":\"v\"},"
		 "\"*\":null}}");
	assert_int_equal(json_object_size(f->map->display_messages), 1);
	assert_non_null(json_object_get(f->map->display_messages, "m3"));
}

static void tailnet_lock_goes_only_when_said_or_at_first(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"Domain\":\"x\"}");
	assert_true(f->map->tka_enabled);
	delta(f, "{\"TKAInfo\":{\"Disabled\":true}}");
	assert_false(f->map->tka_enabled);
	delta(f, "{\"TKAInfo\":{\"Head\":\"X\"}}");
	assert_true(f->map->tka_enabled);
	assert_int_equal(apply_text(f, "{\"Node\":{\"ID\":1}}", true), 0);
	assert_false(f->map->tka_enabled);
	assert_int_equal(ts_netmap_peer_count(f->map), 0);
	assert_int_equal(f->removals, 2);
	assert_int_equal(rules(f), 0);
}

static void a_first_message_without_node_changes_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(apply_text(f, "{\"Peers\":[{\"ID\":9}]}", true),
			 -EPROTO);
	assert_int_equal(f->changes, 0);
	assert_int_equal(ts_netmap_peer_count(f->map), 2);
}

static void unsigned_peers_get_their_addresses_only(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"PeersChanged\":[{\"ID\":9,\"UnsignedPeerAPIOnly\":true,"
		 "\"Addresses\":[\"100.64.0.9/32\"],"
		 "\"AllowedIPs\":[\"0.0.0.0/0\"]}]}");
	assert_int_equal(peer(f, 9)->allowed_ip_count, 1);
	assert_true(ts_prefix_is_host(&peer(f, 9)->allowed_ips[0]));
}

static void two_peers_of_one_key_keep_the_later_index(void **state)
{
	struct fixture *f = *state;

	delta(f, "{\"PeersRemoved\":[2],\"PeersChanged\":[{\"ID\":12,"
		 "\"Key\":\"" KEY("22") "\",\"Addresses\":[\"100.64.0.2/32\"]"
		 "}]}");
	assert_ptr_equal(ts_netmap_peer_by_key(f->map, &peer(f, 12)->key),
			 peer(f, 12));
	delta(f, "{\"PeersChanged\":[{\"ID\":13,\"Key\":\"" KEY("22") "\"}]}");
	delta(f, "{\"PeersRemoved\":[12]}");
	assert_ptr_equal(ts_netmap_peer_by_key(f->map, &peer(f, 13)->key),
			 peer(f, 13));
}

/* -- size ----------------------------------------------------------------- */

enum { MANY = 10000 };

static char *big_message(size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	fputs("{\"Node\":{\"ID\":1},\"Peers\":[", out);
	for (int i = 0; i < MANY; i++)
		fprintf(out,
			"%s{\"ID\":%d,\"StableID\":\"n%dCNTRL\",\"Name\":"
			"\"host-%d.tail1234.ts.net.\",\"User\":%d,\"Key\":"
			"\"nodekey:%064x\",\"Machine\":\"mkey:%064x\","
			"\"DiscoKey\":\"discokey:%064x\",\"Addresses\":["
			"\"100.%d.%d.%d/32\",\"fd7a:115c:a1e0::%x/128\"],"
			"\"AllowedIPs\":[\"100.%d.%d.%d/32\",\"fd7a:115c:"
			"a1e0::%x/128\"],\"Endpoints\":[\"192.0.2.1:%d\","
			"\"10.0.0.1:41641\"],\"HomeDERP\":%d,\"Hostinfo\":{"
			"\"OS\":\"linux\",\"OSVersion\":\"6.1.0-18-amd64\","
			"\"Hostname\":\"host-%d\",\"IPNVersion\":\"1.80.0\","
			"\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":%d}],"
			"\"NetInfo\":{\"PreferredDERP\":1,\"DERPLatency\":{"
			"\"1-v4\":0.01,\"2-v4\":0.02,\"3-v4\":0.03}}},"
			"\"Created\":\"2023-01-01T00:00:00Z\",\"Online\":true,"
			"\"MachineAuthorized\":true,\"Cap\":113}",
			i ? "," : "", i + 2, i, i, i % 50, i + 1, i + 1, i + 1,
			64 + i / 65536, i / 256 % 256, i % 256, i + 1,
			64 + i / 65536, i / 256 % 256, i % 256, i + 1,
			1024 + i, i % 20 + 1, i, 1024 + i);
	fputs("]}", out);
	fclose(out);
	return text;
}

/* What jansson holds at most. */
static size_t json_bytes, json_peak;

static void *counted_malloc(size_t size)
{
	void *p = malloc(size);

	json_bytes += malloc_usable_size(p);
	if (json_bytes > json_peak)
		json_peak = json_bytes;
	return p;
}

static void counted_free(void *p)
{
	json_bytes -= malloc_usable_size(p);
	free(p);
}

/* 0 where the C library does not tell. */
static size_t heap_in_use(void)
{
#ifdef __GLIBC__
	return mallinfo2().uordblks;
#else
	return 0;
#endif
}

static void ten_thousand_peers_fit(void **state)
{
	struct fixture *f = *state;
	size_t len, before, used;
	char *text = big_message(&len);

	assert_true(len > 8000000);
	before = heap_in_use();
	json_set_alloc_funcs(counted_malloc, counted_free);
	assert_int_equal(apply_text(f, text, true), 0);
	json_set_alloc_funcs(malloc, free);
	/* One peer's tree at a time. */
	assert_true(json_peak > 1000 && json_peak < 64 << 10);
	used = heap_in_use() - before;
	free(text);
	assert_int_equal(ts_netmap_peer_count(f->map), MANY);
	assert_int_equal(f->upserts, MANY);
#if !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
	/* A jansson tree of it all would be over 60 MB. */
	assert_true(used > 1 << 20 && used < 16u << 20);
#else
	(void)used;
#endif
	delta(f, "{\"PeersChangedPatch\":[{\"NodeID\":5000,"
		 "\"DERPRegion\":4}]}");
	assert_int_equal(f->upserts, 1);
	assert_int_equal(peer(f, 5000)->home_derp, 4);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(first_message_fills_everything),
		CASE(derp_map_has_defaults_and_no_null_regions),
		CASE(derp_maps_merge),
		CASE(a_full_list_replaces_and_silences_the_deltas),
		CASE(empty_and_null_lists_change_nothing),
		CASE(changed_nodes_keep_what_is_absent),
		CASE(removed_comes_before_changed),
		CASE(seen_online_and_patch_come_last),
		CASE(a_stale_disco_key_is_not_taken),
		CASE(expired_peers_are_marked),
		CASE(peers_expire_one_after_the_other),
		CASE(control_time_shifts_expiry),
		CASE(named_filters_are_joined_in_name_order),
		CASE(bits_anywhere_deny_everything),
		CASE(health_and_messages),
		CASE(tailnet_lock_goes_only_when_said_or_at_first),
		CASE(a_first_message_without_node_changes_nothing),
		CASE(unsigned_peers_get_their_addresses_only),
		CASE(two_peers_of_one_key_keep_the_later_index),
		CASE(ten_thousand_peers_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
