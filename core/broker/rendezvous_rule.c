/* SPDX-License-Identifier: BSD-3-Clause
 * rendezvous_rule.c - which R a held connect calls, and how it is found again
 *
 * R listens on every 127.a.b.c. Which one a connect uses follows from the
 * local port and a small number n, for two reasons. After a failure the kernel
 * has forgotten the peer, and the flow must still be found in the table, from
 * any process that has the socket, without memory of our own. And sockets that
 * share a local address and port (SO_REUSEADDR) need different ones: they take
 * the first n whose tuple is free.
 */
#include "core/broker/rendezvous_rule.h"

#include <netinet/in.h>

static const struct ts_ip LOOPBACK6 = {{[15] = 1}};

struct ts_ip ts_loopback_from(uint64_t n)
{
	uint32_t a = 1 + (uint32_t)(n % 254);
	uint32_t b = (uint32_t)(n >> 16) % 256;
	uint32_t c = 1 + (uint32_t)(n >> 32) % 254;

	return ts_ip_from_v4_host(0x7f000000 | a << 16 | b << 8 | c);
}

static struct ts_ip rendezvous_ip(const struct ts_table_info *info,
				  uint16_t port, unsigned n)
{
	uint64_t hash = ((uint64_t)port << 8 | n) * 0x9e3779b97f4a7c15u;

	if (info->one_loopback)
		return ts_ip_from_v4_host(0x7f000001);
	return ts_loopback_from(hash >> 13);
}

bool ts_rendezvous_nth(const struct ts_table_info *info, unsigned n,
		       struct ts_addr *local, struct ts_addr *out)
{
	bool is_v6 = !ts_ip_is_v4(&local->ip) && !ts_ip_is_zero(&local->ip);

	if (is_v6) {
		out->ip = LOOPBACK6;
		out->port = info->rendezvous6_port;
		return info->has_loopback6 && out->port != 0 && n == 0;
	}
	out->ip = rendezvous_ip(info, local->port, n);
	out->port = info->rendezvous_port;
	if (ts_ip_is_unspecified(&local->ip))
		local->ip = info->source_follows
				    ? out->ip
				    : ts_ip_from_v4_host(0x7f000001);
	return out->port != 0 && (n == 0 || !info->one_loopback);
}

/* A failed flow has been told of by now, and is better forgotten. */
static bool is_free(const struct ts_table_layout *table,
		    const struct ts_addr *local, const struct ts_addr *to)
{
	const struct ts_flow_key key = {.proto = IPPROTO_TCP, .local = *local,
					.remote = *to};
	struct ts_flow_entry entry;

	return !ts_table_find(table, &key, &entry) ||
	       entry.state == TS_FLOW_FAILED;
}

bool ts_rendezvous_choose(const struct ts_table_layout *table,
			  const struct ts_table_info *info,
			  const struct ts_addr *local, unsigned *n,
			  struct ts_addr *out)
{
	struct ts_addr from;
	unsigned first = *n;

	for (; *n < TS_RENDEZVOUS_MAX; (*n)++) {
		from = *local;
		if (ts_rendezvous_nth(info, *n, &from, out) &&
		    is_free(table, &from, out))
			return true;
	}
	/* All were used a moment ago: the kernel knows which are over. */
	from = *local;
	*n = first;
	return ts_rendezvous_nth(info, first, &from, out);
}

static bool find_to_any(const struct ts_table_layout *table,
			const struct ts_table_info *info,
			const struct ts_addr *local, bool must_have_failed,
			struct ts_flow_entry *out)
{
	struct ts_flow_key key = {.proto = IPPROTO_TCP};

	for (unsigned n = 0; n < TS_RENDEZVOUS_MAX; n++) {
		key.local = *local;
		if (ts_rendezvous_nth(info, n, &key.local, &key.remote) &&
		    ts_table_find(table, &key, out) &&
		    out->kind == TS_FLOW_CONNECT &&
		    (!must_have_failed || out->state == TS_FLOW_FAILED))
			return true;
	}
	return false;
}

bool ts_rendezvous_find(const struct ts_table_layout *table,
			const struct ts_addr *local, bool must_have_failed,
			struct ts_flow_entry *out)
{
	const struct ts_addr twin = {.ip = LOOPBACK6, .port = local->port};
	struct ts_table_info info;

	if (!table || local->port == 0 || !ts_table_read_info(table, &info))
		return false;
	return find_to_any(table, &info, local, must_have_failed, out) ||
	       (ts_ip_is_zero(&local->ip) &&
		find_to_any(table, &info, &twin, must_have_failed, out));
}

struct ts_addr ts_flow_unconnected_name(const struct ts_flow_entry *entry,
					const struct ts_addr *local)
{
	const struct ts_addr unnamed = {.port = local->port};

	if (entry->state == TS_FLOW_FAILED ||
	    ts_ip_is_zero(&entry->tailnet_local.ip))
		return unnamed;
	return entry->tailnet_local;
}
