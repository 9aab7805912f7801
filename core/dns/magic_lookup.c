/* SPDX-License-Identifier: BSD-3-Clause
 * magic_lookup.c - from a name to its addresses
 * Source: net/dns/resolver/tsdns.go (order of the rules)
 *
 * The same rules serve two askers who differ in one thing: a DNS query gets
 * IPv6 addresses of a peer with IPv4 only if the tailnet wants that; a lookup
 * in the process, which goes on to dial through us, gets both families.
 */
#include "core/dns/magic_dns_private.h"

#include <stdio.h>
#include <string.h>

#include "core/dns/special_names.h"

/* Which addresses the asker may see. */
struct wanted {
	bool v4, v6;
	bool v6_beside_v4; /* of a node that has both */
};

static void add_addr(struct ts_dns_result *out, const struct ts_ip *ip)
{
	if (out->count < TS_MAGIC_DNS_ADDRS_MAX)
		out->addrs[out->count++] = *ip;
}

static void add_family(const struct ts_name_entry *entry, bool v4,
		       struct ts_dns_result *out)
{
	for (size_t i = 0; i < entry->addr_count; i++)
		if (ts_ip_is_v4(&entry->addrs[i]) == v4)
			add_addr(out, &entry->addrs[i]);
}

static bool has_v4(const struct ts_name_entry *entry)
{
	for (size_t i = 0; i < entry->addr_count; i++)
		if (ts_ip_is_v4(&entry->addrs[i]))
			return true;
	return false;
}

static enum ts_dns_answer found(const char *name, struct ts_dns_result *out)
{
	snprintf(out->canonical, sizeof(out->canonical), "%s", name);
	return TS_DNS_FOUND;
}

static enum ts_dns_answer node_answer(const struct ts_magic_dns *dns,
				      const struct ts_name_entry *entry,
				      const char *name,
				      const struct wanted *want,
				      struct ts_dns_result *out)
{
	bool only_v6 = dns->self_has_v6 && !dns->self_has_v4;

	if (want->v4 && !only_v6)
		add_family(entry, true, out);
	if (want->v6 && (want->v6_beside_v4 || only_v6 || dns->wants_aaaa ||
			 !has_v4(entry)))
		add_family(entry, false, out);
	return found(name, out);
}

static enum ts_dns_answer record_answer(const struct ts_name_entry *entry,
					const char *name,
					const struct wanted *want,
					struct ts_dns_result *out)
{
	for (; entry; entry = ts_name_table_next(entry)) {
		if (want->v4)
			add_family(entry, true, out);
		if (want->v6)
			add_family(entry, false, out);
	}
	return found(name, out);
}

static enum ts_dns_answer symbolic_answer(const char *name,
					  const struct wanted *want,
					  struct ts_dns_result *out)
{
	if (want->v4)
		add_addr(out, &TS_SERVICE_IP);
	if (want->v6)
		add_addr(out, &TS_SERVICE_IP6);
	return found(name, out);
}

/* The node above name that answers for all names below it. */
static const struct ts_name_entry *
subdomain_owner(const struct ts_magic_dns *dns, const char *name)
{
	for (name = ts_dns_parent(name); *name; name = ts_dns_parent(name)) {
		const struct ts_name_entry *entry =
			ts_name_table_first(&dns->nodes_by_name, name);

		if (entry && entry->owns_subdomains)
			return entry;
	}
	return NULL;
}

static enum ts_dns_answer resolve(const struct ts_magic_dns *dns,
				  const char *name, const struct wanted *want,
				  struct ts_dns_result *out)
{
	const struct ts_name_entry *entry;
	struct ts_ip via;

	out->count = 0;
	if (dns->is_expired)
		return TS_DNS_NOT_OURS;
	if (ts_dns_is_under(name, "onion"))
		return TS_DNS_NXDOMAIN; /* RFC 7686 */
	if (strcmp(name, MAGIC_DNS_SYMBOLIC_NAME) == 0)
		return symbolic_answer(name, want, out);
	if (ts_dns_parse_via(name, &via)) {
		if (want->v6)
			add_addr(out, &via);
		return found(name, out);
	}
	entry = ts_name_table_first(&dns->records_by_name, name);
	if (entry)
		return record_answer(entry, name, want, out);
	entry = ts_name_table_first(&dns->nodes_by_name, name);
	if (!entry)
		entry = subdomain_owner(dns, name);
	if (entry)
		return node_answer(dns, entry, name, want, out);
	return ts_magic_dns_zone(dns, name) ? TS_DNS_NXDOMAIN : TS_DNS_NOT_OURS;
}

static enum ts_dns_answer resolve_below(const struct ts_magic_dns *dns,
					const char *name, const char *suffix,
					const struct wanted *want,
					struct ts_dns_result *out)
{
	char full[TS_DNS_NAME_CAP];
	int len = snprintf(full, sizeof(full), "%s.%s", name, suffix);

	if (len < 0 || (size_t)len >= sizeof(full))
		return TS_DNS_NOT_OURS;
	return resolve(dns, full, want, out);
}

static bool is_single_label(const char *name)
{
	return !strchr(name, '.');
}

enum ts_dns_answer ts_magic_dns_serve(const struct ts_magic_dns *dns,
				      const char *name, bool want_v4,
				      bool want_v6, struct ts_dns_result *out)
{
	struct wanted want = {want_v4, want_v6, false};
	enum ts_dns_answer answer = resolve(dns, name, &want, out);

	if (answer == TS_DNS_NOT_OURS && dns->is_on && dns->suffix &&
	    is_single_label(name) &&
	    resolve_below(dns, name, dns->suffix, &want, out) == TS_DNS_FOUND)
		return TS_DNS_FOUND;
	return answer;
}

static enum ts_dns_answer search(const struct ts_magic_dns *dns,
				 const char *name, const struct wanted *want,
				 struct ts_dns_result *out)
{
	if (dns->suffix &&
	    resolve_below(dns, name, dns->suffix, want, out) == TS_DNS_FOUND)
		return TS_DNS_FOUND;
	for (size_t i = 0; i < dns->search_domain_count; i++)
		if (resolve_below(dns, name, dns->search_domains[i], want,
				  out) == TS_DNS_FOUND)
			return TS_DNS_FOUND;
	return TS_DNS_NOT_OURS;
}

enum ts_dns_answer ts_magic_dns_lookup(const struct ts_magic_dns *dns,
				       const char *name, bool want_v4,
				       bool want_v6, struct ts_dns_result *out)
{
	struct wanted want = {want_v4, want_v6, true};
	char normal[TS_DNS_NAME_CAP];
	size_t len = strlen(name);
	enum ts_dns_answer answer;

	memset(out, 0, sizeof(*out));
	if (!ts_dns_normalize(name, normal))
		return TS_DNS_NOT_OURS;
	answer = resolve(dns, normal, &want, out);
	/* A name with dots is a whole one: the public DNS may know it. */
	if (answer == TS_DNS_FOUND || name[len - 1] == '.' ||
	    !is_single_label(normal))
		return answer;
	if (search(dns, normal, &want, out) == TS_DNS_FOUND)
		return TS_DNS_FOUND;
	out->count = 0;
	return answer;
}
