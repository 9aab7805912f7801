/* SPDX-License-Identifier: BSD-3-Clause
 * dest_rule.c - does this address, or this name, belong to the tailnet?
 *
 * Before the table is there the static prefixes count: 100.64.0.0/10 (without
 * ChromeOS's part) and fd7a:115c:a1e0::/48, v4-mapped or not. After that the
 * netmap decides, routes included. When tsrun hosts, the table is fetched at
 * the first address or name that could be ours; alone, only an address or a
 * name that looks ours starts a node.
 *
 * With an exit node everything is the tailnet's but what the table names. One
 * that is named in the environment starts a node at the first address at all.
 *
 * With dns = intercept the system's name servers are ours, too, at port 53.
 *
 * Names: a single label, or one under the tailnet's suffix; before that is
 * known, also what libc does not know; where the tailnet has resolvers of its
 * own, any, as the host says which are theirs. Whatever a program can look up
 * without a name server, the hosts file for one, stays libc's.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shim/shim.h"

enum { NAME_MAX_LEN = 253, DNS_PORT = 53 };

static bool is_never_ours(const struct ts_ip *ip)
{
	return ts_ip_is_unspecified(ip) || ts_ip_is_loopback(ip) ||
	       ts_ip_is_multicast(ip);
}

bool shim_claims_ip(const struct ts_ip *ip)
{
	const struct ts_table_layout *table;

	if (is_never_ours(ip))
		return false;
	table = shim.has_exit_node ? shim_table_if_configured()
				   : shim_table();
	/* Without a host to ask nothing may pass beside the exit node. */
	return table ? ts_table_claims(table, ip)
		     : shim.has_exit_node || ts_ip_is_tailscale(ip);
}

/* Port 53 of the system's name servers is the node's with dns = intercept.
 * Never starts a node: a program that only asks for names of the host's
 * network has no use for one. Where the host carries no datagrams a
 * resolver, which wants them, is left alone. */
static bool is_intercepted(const struct ts_addr *dst)
{
	const struct ts_table_layout *table;
	struct ts_table_info info;

	if (dst->port != DNS_PORT)
		return false;
	table = shim_table();
	if (!table || !ts_table_read_info(table, &info) ||
	    info.datagram_port == 0)
		return false;
	for (size_t i = 0; i < info.resolver_count; i++)
		if (i < TS_TABLE_RESOLVER_MAX &&
		    ts_ip_equal(&dst->ip, &info.resolvers[i]))
			return true;
	return false;
}

bool shim_claims(const struct sockaddr *addr, socklen_t len,
		 struct ts_addr *out)
{
	struct ts_addr dst;

	if (shim_is_engine_thread() ||
	    ts_addr_from_sockaddr(addr, len, &dst) != 0 ||
	    !(shim_claims_ip(&dst.ip) || is_intercepted(&dst)))
		return false;
	*out = dst;
	return true;
}

bool shim_name_is_under(const char *name, const char *suffix)
{
	size_t name_len = strlen(name), suffix_len = strlen(suffix);
	const char *tail = name + name_len - suffix_len;

	if (suffix_len == 0 || name_len < suffix_len ||
	    strncasecmp(tail, suffix, suffix_len) != 0)
		return false;
	return name_len == suffix_len || tail[-1] == '.';
}

static bool is_numeric(const char *name)
{
	struct in_addr v4;

	return strchr(name, ':') || inet_aton(name, &v4);
}

static bool is_this_host(const char *name)
{
	char own[256];
	size_t label_len;

	if (shim_name_is_under(name, "localhost") ||
	    shim_name_is_under(name, "localdomain"))
		return true;
	if (gethostname(own, sizeof(own)) != 0)
		return false;
	own[sizeof(own) - 1] = '\0';
	label_len = strcspn(own, ".");
	return strcasecmp(name, own) == 0 ||
	       (strlen(name) == label_len &&
		strncasecmp(name, own, label_len) == 0);
}

static bool is_under_tailnet(const char *name,
			     const struct ts_table_layout *table)
{
	struct ts_table_info info;

	return shim_name_is_under(name, "ts.net") ||
	       shim_name_is_under(name, shim.suffix) ||
	       /* what 100.100.100.100 calls itself */
	       strcasecmp(name, "magicdns.localhost-tailscale-daemon") == 0 ||
	       (table && ts_table_read_info(table, &info) &&
		shim_name_is_under(name, info.suffix));
}

/* What is not under a suffix that we know. Until the netmap is there the
 * tailnet's may be any (Headscale); then libc is asked first. */
static enum shim_name_rule rule_for_dotted(const struct ts_table_layout *table)
{
	if (table && ts_table_routes_names(table))
		return SHIM_NAME_NODE_FIRST;
	return (shim.is_hosted || shim.is_configured) &&
			       !(table && ts_table_has_suffix(table))
		       ? SHIM_NAME_LIBC_FIRST
		       : SHIM_NAME_LIBC;
}

static enum shim_name_rule rule_for_label(const struct ts_table_layout *table)
{
	if (table)
		return SHIM_NAME_NODE_FIRST;
	return shim.is_configured && !shim.is_hosted ? SHIM_NAME_LIBC_FIRST
						     : SHIM_NAME_LIBC;
}

static enum shim_name_rule rule_for(const char *bare, bool is_absolute)
{
	const struct ts_table_layout *table = shim_table();

	if (is_under_tailnet(bare, table))
		return SHIM_NAME_NODE_FIRST;
	if (strchr(bare, '.'))
		return rule_for_dotted(table);
	/* "host." is the root's host, not the tailnet's. */
	return is_absolute ? SHIM_NAME_LIBC : rule_for_label(table);
}

enum shim_name_rule shim_name_rule(const char *name)
{
	char bare[NAME_MAX_LEN + 1];
	size_t len = strlen(name);
	bool is_absolute = len > 0 && name[len - 1] == '.';
	enum shim_name_rule rule;

	if (is_absolute)
		len--;
	if (len == 0 || len > NAME_MAX_LEN)
		return SHIM_NAME_LIBC;
	memcpy(bare, name, len);
	bare[len] = '\0';
	if (is_numeric(bare) || is_this_host(bare))
		return SHIM_NAME_LIBC;
	rule = rule_for(bare, is_absolute);
	if (rule != SHIM_NAME_LIBC && shim_hosts_file_has(bare))
		return SHIM_NAME_LIBC;
	return rule;
}

/* The name of an address, if any. */
static bool is_reverse_name(const char *name)
{
	static const char arpa[] = ".arpa";
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '.')
		len--;
	return len >= sizeof(arpa) &&
	       strncasecmp(name + len - (sizeof(arpa) - 1), arpa,
			   sizeof(arpa) - 1) == 0;
}

enum shim_name_rule shim_query_rule(const char *name)
{
	if (shim_resolves_natively())
		return SHIM_NAME_LIBC;
	if (is_reverse_name(name))
		return shim_table() ? SHIM_NAME_NODE_FIRST : SHIM_NAME_LIBC;
	return shim_name_rule(name);
}
