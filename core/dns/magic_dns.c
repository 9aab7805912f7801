/* SPDX-License-Identifier: BSD-3-Clause
 * magic_dns.c - names of the tailnet, looked up in the netmap
 * Source: net/dns/resolver/tsdns.go, ipn/ipnlocal/node_backend.go
 *
 * Nodes are indexed by ID, by full name and by address, and change one at a
 * time. Everything else (ExtraRecords, search domains, zones that we answer
 * for) comes from the DNS configuration and is replaced as a whole. Short names
 * are not stored: the suffix is appended when one is asked for, so that a new
 * suffix touches no node.
 */
#include "core/dns/magic_dns_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/dns/special_names.h"

enum { FIRST_REVERSE_V4 = 64, LAST_REVERSE_V4 = 127 };

static const char reverse_zone_v6[] = "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa";

/* -- life ----------------------------------------------------------------- */
struct ts_magic_dns *ts_magic_dns_new(void)
{
	struct ts_magic_dns *dns = calloc(1, sizeof(*dns));
	uint64_t seed;

	if (!dns)
		return NULL;
	dns->accepts = true;
	seed = ts_random_u64();
	ts_name_table_init(&dns->nodes_by_name);
	ts_name_table_init(&dns->records_by_name);
	ts_key_map_init(&dns->nodes_by_id, sizeof(int64_t), seed);
	ts_key_map_init(&dns->nodes_by_ip, TS_IP_LEN, seed);
	return dns;
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

static void clear_config(struct ts_magic_dns *dns)
{
	for (size_t i = 0; i < dns->record_count; i++) {
		ts_name_table_remove(&dns->records_by_name, &dns->records[i]);
		free(dns->records[i].name);
		free(dns->records[i].addrs);
	}
	free(dns->records);
	free_texts(dns->search_domains, dns->search_domain_count);
	free_texts(dns->local_zones, dns->local_zone_count);
	free(dns->suffix);
	dns->records = NULL;
	dns->search_domains = dns->local_zones = NULL;
	dns->suffix = NULL;
	dns->record_count = dns->search_domain_count = 0;
	dns->local_zone_count = 0;
	dns->is_on = dns->has_empty_routes = false;
}

/* -- nodes ---------------------------------------------------------------- */
/* For reverse lookups only: one that does not fit goes missing. */
static void index_addrs(struct ts_magic_dns *dns, struct ts_dns_node *node)
{
	for (size_t i = 0; i < node->entry.addr_count; i++)
		ts_key_map_put(&dns->nodes_by_ip, node->entry.addrs[i].bytes,
			       node);
}

static void unindex_addrs(struct ts_magic_dns *dns, struct ts_dns_node *node)
{
	for (size_t i = 0; i < node->entry.addr_count; i++) {
		const uint8_t *ip = node->entry.addrs[i].bytes;

		if (ts_key_map_get(&dns->nodes_by_ip, ip) == node)
			ts_key_map_take(&dns->nodes_by_ip, ip);
	}
}

static void free_node(struct ts_dns_node *node)
{
	free(node->entry.name);
	free(node->entry.addrs);
	free(node);
}

static void remove_node(struct ts_magic_dns *dns, struct ts_dns_node *node)
{
	unindex_addrs(dns, node);
	ts_name_table_remove(&dns->nodes_by_name, &node->entry);
	ts_key_map_take(&dns->nodes_by_id, &node->id);
	free_node(node);
}

static struct ts_dns_node *make_node(const struct ts_peer *peer)
{
	struct ts_dns_node *node = calloc(1, sizeof(*node));
	char name[TS_DNS_NAME_CAP];
	size_t n = 0;

	if (!node)
		return NULL;
	node->id = peer->id;
	ts_dns_normalize(peer->name, name);
	node->entry.name = strdup(name);
	node->entry.addrs = calloc(peer->address_count, sizeof(struct ts_ip));
	node->entry.owns_subdomains =
		ts_peer_has_cap(peer, "dns-subdomain-resolve");
	if (!node->entry.name || !node->entry.addrs) {
		free_node(node);
		return NULL;
	}
	for (size_t i = 0; i < peer->address_count; i++)
		if (ts_prefix_is_host(&peer->addresses[i]))
			node->entry.addrs[n++] = peer->addresses[i].ip;
	node->entry.addr_count = n;
	return node;
}

static bool has_usable_name(const struct ts_peer *peer)
{
	char name[TS_DNS_NAME_CAP];

	return peer->name && peer->address_count > 0 &&
	       ts_dns_normalize(peer->name, name);
}

static bool is_same(const struct ts_dns_node *a, const struct ts_dns_node *b)
{
	return strcmp(a->entry.name, b->entry.name) == 0 &&
	       a->entry.owns_subdomains == b->entry.owns_subdomains &&
	       a->entry.addr_count == b->entry.addr_count &&
	       memcmp(a->entry.addrs, b->entry.addrs,
		      a->entry.addr_count * sizeof(struct ts_ip)) == 0;
}

static int add_node(struct ts_magic_dns *dns, struct ts_dns_node *node)
{
	if (ts_key_map_put(&dns->nodes_by_id, &node->id, node))
		return -ENOMEM;
	if (ts_name_table_add(&dns->nodes_by_name, &node->entry)) {
		ts_key_map_take(&dns->nodes_by_id, &node->id);
		return -ENOMEM;
	}
	index_addrs(dns, node);
	return 0;
}

int ts_magic_dns_upsert(struct ts_magic_dns *dns, const struct ts_peer *peer)
{
	struct ts_dns_node *old = ts_key_map_get(&dns->nodes_by_id, &peer->id);
	struct ts_dns_node *node;

	if (!has_usable_name(peer)) {
		if (old)
			remove_node(dns, old);
		return 0;
	}
	node = make_node(peer);
	if (!node)
		return -ENOMEM;
	node->round = dns->round;
	if (old && is_same(old, node)) {
		old->round = dns->round;
		free_node(node);
		return 0;
	}
	if (old)
		remove_node(dns, old);
	if (add_node(dns, node)) {
		free_node(node);
		return -ENOMEM;
	}
	return 0;
}

void ts_magic_dns_remove(struct ts_magic_dns *dns, const struct ts_peer *peer)
{
	struct ts_dns_node *node = ts_key_map_get(&dns->nodes_by_id, &peer->id);

	if (node)
		remove_node(dns, node);
}

/* Drop the nodes that the last round of set_config() did not see. The map must
 * not change while it is walked, hence the list. */
static int sweep_nodes(struct ts_magic_dns *dns)
{
	struct ts_dns_node *node, **stale;
	size_t pos = 0, n = 0;

	stale = calloc(dns->nodes_by_id.len + 1, sizeof(struct ts_dns_node *));
	if (!stale)
		return -ENOMEM;
	while ((node = ts_key_map_next(&dns->nodes_by_id, &pos)))
		if (node->round != dns->round)
			stale[n++] = node;
	for (size_t i = 0; i < n; i++)
		remove_node(dns, stale[i]);
	free(stale);
	return 0;
}

void ts_magic_dns_free(struct ts_magic_dns *dns)
{
	struct ts_dns_node *node;
	size_t pos = 0;

	if (!dns)
		return;
	while ((node = ts_key_map_next(&dns->nodes_by_id, &pos)))
		free_node(node);
	clear_config(dns);
	ts_name_table_deinit(&dns->nodes_by_name);
	ts_name_table_deinit(&dns->records_by_name);
	ts_key_map_deinit(&dns->nodes_by_id);
	ts_key_map_deinit(&dns->nodes_by_ip);
	free(dns);
}

/* -- configuration -------------------------------------------------------- */
static int add_text(char ***texts, size_t *count, const char *text)
{
	char name[TS_DNS_NAME_CAP];
	char **more;

	if (!ts_dns_normalize(text, name))
		return 0; /* nothing could be below it */
	more = realloc(*texts, (*count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	*texts = more;
	more[*count] = strdup(name);
	if (!more[*count])
		return -ENOMEM;
	++*count;
	return 0;
}

static int add_zone(struct ts_magic_dns *dns, const char *zone)
{
	return add_text(&dns->local_zones, &dns->local_zone_count, zone);
}

static int add_own_zones(struct ts_magic_dns *dns)
{
	char zone[sizeof("127.100.in-addr.arpa")];
	int err = dns->suffix ? add_zone(dns, dns->suffix) : 0;

	for (int i = FIRST_REVERSE_V4; !err && i <= LAST_REVERSE_V4; i++) {
		snprintf(zone, sizeof(zone), "%d.100.in-addr.arpa", i);
		err = add_zone(dns, zone);
	}
	return err ? err : add_zone(dns, reverse_zone_v6);
}

/* A route to no resolver is ours to answer. */
static int add_empty_routes(struct ts_magic_dns *dns, const json_t *routes)
{
	const char *zone;
	json_t *resolvers;
	int err = 0;

	json_object_foreach ((json_t *)routes, zone, resolvers) {
		if (err || json_array_size(resolvers) > 0)
			continue;
		err = add_zone(dns, zone);
		dns->has_empty_routes = true;
	}
	return err;
}

static bool is_routed(const json_t *routes, const char *name)
{
	const char *zone;
	json_t *resolvers;
	char normal[TS_DNS_NAME_CAP];

	json_object_foreach ((json_t *)routes, zone, resolvers)
		if (ts_dns_normalize(zone, normal) &&
		    ts_dns_is_under(name, normal))
			return true;
	return false;
}

/* ExtraRecords under no route at all are routes of their own. */
static int add_record_zones(struct ts_magic_dns *dns, const json_t *routes)
{
	int err = 0;

	for (size_t i = 0; !err && i < dns->record_count; i++) {
		const char *name = dns->records[i].name;

		if (!ts_magic_dns_zone(dns, name) && !is_routed(routes, name))
			err = add_zone(dns, name);
	}
	return err;
}

static bool is_address_record(const struct ts_dns_record *r, struct ts_ip *ip)
{
	char name[TS_DNS_NAME_CAP];

	if (r->type && *r->type && strcmp(r->type, "A") != 0 &&
	    strcmp(r->type, "AAAA") != 0)
		return false;
	return r->name && r->value && ts_dns_normalize(r->name, name) &&
	       ts_ip_parse(r->value, ip) == 0;
}

static int add_record(struct ts_magic_dns *dns, const struct ts_dns_record *r)
{
	struct ts_name_entry *entry = &dns->records[dns->record_count];
	char name[TS_DNS_NAME_CAP];
	struct ts_ip ip;

	if (!is_address_record(r, &ip))
		return 0;
	ts_dns_normalize(r->name, name);
	*entry = (struct ts_name_entry){.addr_count = 1};
	entry->name = strdup(name);
	entry->addrs = malloc(sizeof(*entry->addrs));
	if (!entry->name || !entry->addrs ||
	    ts_name_table_add(&dns->records_by_name, entry)) {
		free(entry->name);
		free(entry->addrs);
		return -ENOMEM;
	}
	*entry->addrs = ip;
	dns->record_count++;
	return 0;
}

static int load_config(struct ts_magic_dns *dns, const struct ts_dns_config *c)
{
	const json_t *routes = json_object_get(c->raw, "Routes");
	int err = 0;

	dns->is_on = c->magic_dns && dns->accepts;
	if (c->extra_record_count) {
		dns->records = calloc(c->extra_record_count,
				      sizeof(*dns->records));
		if (!dns->records)
			return -ENOMEM;
	}
	for (size_t i = 0; !err && i < c->extra_record_count; i++)
		err = add_record(dns, &c->extra_records[i]);
	if (err || !dns->accepts)
		return err;
	for (size_t i = 0; !err && i < c->search_domain_count; i++)
		err = add_text(&dns->search_domains, &dns->search_domain_count,
			       c->search_domains[i]);
	if (!err && dns->is_on)
		err = add_own_zones(dns);
	if (!err)
		err = add_empty_routes(dns, routes);
	return err ? err : add_record_zones(dns, routes);
}

static int load_self(struct ts_magic_dns *dns, const struct ts_netmap *map)
{
	const struct ts_peer *self = map->self;
	char *suffix = ts_netmap_magic_suffix(map), name[TS_DNS_NAME_CAP];
	struct ts_ip v4 = ts_peer_ip(self, false), v6 = ts_peer_ip(self, true);

	dns->self_has_v4 = !ts_ip_is_unspecified(&v4);
	dns->self_has_v6 = !ts_ip_is_unspecified(&v6);
	dns->wants_aaaa = ts_peer_has_cap(self, "magicdns-aaaa");
	dns->is_expired = self->expired;
	if (suffix && ts_dns_normalize(suffix, name))
		dns->suffix = strdup(name);
	free(suffix);
	return ts_magic_dns_upsert(dns, self);
}

int ts_magic_dns_set_config(struct ts_magic_dns *dns,
			    const struct ts_netmap *map)
{
	const struct ts_peer *peer;
	size_t pos = 0;
	int err = 0;

	clear_config(dns);
	dns->round++;
	if (map->self)
		err = load_self(dns, map);
	while (!err && (peer = ts_netmap_next_peer(map, &pos)))
		err = ts_magic_dns_upsert(dns, peer);
	if (!err)
		err = sweep_nodes(dns);
	if (!err && map->dns)
		err = load_config(dns, map->dns);
	return err;
}

void ts_magic_dns_accept(struct ts_magic_dns *dns, bool accepts)
{
	dns->accepts = accepts;
}

bool ts_magic_dns_has_other_names(const struct ts_magic_dns *dns)
{
	return !dns->is_expired &&
	       (dns->record_count > 0 || dns->has_empty_routes);
}

const char *ts_magic_dns_search_domain(const struct ts_magic_dns *dns,
				       size_t i)
{
	return i < dns->search_domain_count ? dns->search_domains[i] : NULL;
}

const char *ts_magic_dns_suffix(const struct ts_magic_dns *dns)
{
	return dns->suffix;
}

const char *ts_magic_dns_zone(const struct ts_magic_dns *dns, const char *name)
{
	for (size_t i = 0; i < dns->local_zone_count; i++)
		if (ts_dns_is_under(name, dns->local_zones[i]))
			return dns->local_zones[i];
	return NULL;
}

const char *ts_magic_dns_reverse(const struct ts_magic_dns *dns,
				 const struct ts_ip *ip)
{
	const struct ts_dns_node *node;
	struct ts_ip v4;

	if (dns->is_expired)
		return NULL;
	if (ts_ip_equal(ip, &TS_SERVICE_IP) || ts_ip_equal(ip, &TS_SERVICE_IP6))
		return MAGIC_DNS_SYMBOLIC_NAME;
	node = ts_key_map_get(&dns->nodes_by_ip, ip->bytes);
	if (!node && ts_dns_v4_of_v6(ip, &v4))
		node = ts_key_map_get(&dns->nodes_by_ip, v4.bytes);
	if (node)
		return node->entry.name;
	for (size_t i = 0; i < dns->record_count; i++)
		if (ts_ip_equal(&dns->records[i].addrs[0], ip))
			return dns->records[i].name;
	return NULL;
}
