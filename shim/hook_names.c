/* SPDX-License-Identifier: BSD-3-Clause
 * hook_names.c - getaddrinfo and getnameinfo
 *
 * A NULL host (AI_PASSIVE is about that one alone: socat sets it for names that
 * it connects to), AI_NUMERICHOST and numeric names go to libc with the
 * program's own arguments; so does every name that is not the tailnet's.
 *
 * The result must be one that libc's freeaddrinfo can free. So libc builds it:
 * one getaddrinfo with AI_NUMERICHOST per address, which also settles service
 * names, socket types and their order; the lists are chained (addrinfo_list.c).
 * Only ai_flags and the canonical name are put right afterwards.
 *
 * Order (RFC 6724): what the node has no address for comes last, or not at all
 * with AI_ADDRCONFIG, which asks for the families that are configured; then
 * IPv4 before the tailnet's IPv6, which is a unique local address and so of
 * the lowest precedence.
 */
#include <netinet/in.h>
#include <string.h>

#include "shim/addrinfo_list.h"
#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/name_ask.h"
#include "shim/shim.h"

/* -- getaddrinfo ---------------------------------------------------------- */

struct lookup {
	const char *host, *service;
	const struct addrinfo *hints; /* never NULL */
	struct shim_addresses found;
};

/* POSIX: what a NULL hints means. glibc adds flags. */
static const struct addrinfo no_hints = {
#ifdef __GLIBC__
	.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG,
#endif
	.ai_family = AF_UNSPEC,
};

static bool is_plain_lookup(const char *host, const struct addrinfo *hints)
{
	if (!host || shim_resolves_natively())
		return false;
	return !hints || (!(hints->ai_flags & AI_NUMERICHOST) &&
			  (hints->ai_family == AF_UNSPEC ||
			   hints->ai_family == AF_INET ||
			   hints->ai_family == AF_INET6));
}

static bool is_mapped_wanted(const struct addrinfo *hints)
{
	return hints->ai_family == AF_INET6 && (hints->ai_flags & AI_V4MAPPED);
}

static uint8_t wanted(const struct addrinfo *hints)
{
	if (hints->ai_family == AF_INET)
		return TS_BROKER_WANT_V4;
	if (hints->ai_family == AF_INET6 && !is_mapped_wanted(hints))
		return TS_BROKER_WANT_V6;
	return TS_BROKER_WANT_V4 | TS_BROKER_WANT_V6;
}

/* AI_V4MAPPED is for hosts without an IPv6 address, unless AI_ALL. */
static void drop_mapped(struct lookup *lookup)
{
	struct shim_addresses *found = &lookup->found;
	size_t kept = 0;

	for (size_t i = 0; i < found->count; i++)
		if (!ts_ip_is_v4(&found->ips[i]))
			found->ips[kept++] = found->ips[i];
	if (kept > 0)
		found->count = kept;
}

/* Which families has the node? false: not known yet. */
static bool read_families(bool *has_v4, bool *has_v6)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);
	struct ts_table_info info;

	if (!table || !ts_table_read_info(table, &info))
		return false;
	*has_v4 = !ts_ip_is_unspecified(&info.own_v4);
	*has_v6 = !ts_ip_is_unspecified(&info.own_v6);
	return *has_v4 || *has_v6;
}

static void order(struct lookup *lookup)
{
	struct shim_addresses *found = &lookup->found;
	struct ts_ip late[TS_BROKER_ADDRS_MAX];
	size_t kept = 0, late_count = 0;
	bool has_v4, has_v6;

	if (!read_families(&has_v4, &has_v6))
		return;
	for (size_t i = 0; i < found->count; i++) {
		struct ts_ip ip = found->ips[i];

		if (ts_ip_is_v4(&ip) ? has_v4 : has_v6)
			found->ips[kept++] = ip;
		else
			late[late_count++] = ip;
	}
	found->count = kept;
	if (!(lookup->hints->ai_flags & AI_ADDRCONFIG))
		for (size_t i = 0; i < late_count; i++)
			found->ips[found->count++] = late[i];
}

static void address_text(const struct lookup *lookup, const struct ts_ip *ip,
			 char out[static TS_IP_TEXT_CAP + 8])
{
	bool is_mapped = ts_ip_is_v4(ip) &&
			 lookup->hints->ai_family == AF_INET6;

	memcpy(out, "::ffff:", 7);
	ts_ip_format(ip, is_mapped ? out + 7 : out);
}

/* One address, every socket type that the hints allow. */
static int build_one(const struct lookup *lookup, size_t i,
		     struct addrinfo **out)
{
	const int not_here = AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL;
	struct addrinfo hints = *lookup->hints;
	char text[TS_IP_TEXT_CAP + 8];
	int err;

	hints.ai_flags = (hints.ai_flags & ~not_here) | AI_NUMERICHOST;
	if (i > 0)
		hints.ai_flags &= ~AI_CANONNAME;
	address_text(lookup, &lookup->found.ips[i], text);
	err = libc.getaddrinfo(text, lookup->service, &hints, out);
	if (err)
		return err;
	for (struct addrinfo *ai = *out; ai; ai = ai->ai_next) {
		ai->ai_flags = lookup->hints->ai_flags;
		if (libc.is_musl) /* the number, wanted or not; in its block */
			ai->ai_canonname = NULL;
	}
	return 0;
}

static int put_canonical_name(const struct lookup *lookup,
			      struct addrinfo *first)
{
	if (!(lookup->hints->ai_flags & AI_CANONNAME))
		return 0;
	return shim_addrinfo_set_name(first, lookup->found.canonical);
}

static int build(const struct lookup *lookup, struct addrinfo **out)
{
	struct addrinfo *first = NULL, **tail = &first;
	int err = 0;

	for (size_t i = 0; !err && i < lookup->found.count; i++) {
		err = build_one(lookup, i, tail);
		while (!err && *tail)
			tail = &(*tail)->ai_next;
	}
	if (!err)
		err = put_canonical_name(lookup, first);
	if (!err) {
		*out = first;
		return 0;
	}
	*tail = NULL;
	shim_addrinfo_free(first);
	return err;
}

/* musl has EAI_NODATA since 1.2.4 only. It says of a number of the other family
 * what it says of a name with no address of the family that is asked for. */
static int no_address(void)
{
	const struct addrinfo hints = {.ai_family = AF_INET6,
				       .ai_flags = AI_NUMERICHOST};
	struct addrinfo *list;

	if (libc.is_musl)
		return libc.getaddrinfo("0.0.0.0", NULL, &hints, &list);
	return EAI_NODATA;
}

/* EAI_... or 0; *is_ours false: libc must say. */
static int by_node(struct lookup *lookup, struct addrinfo **out, bool *is_ours)
{
	enum shim_name_answer answer = shim_resolve(
		lookup->host, wanted(lookup->hints), &lookup->found);

	*is_ours = answer != SHIM_ANSWER_NOT_OURS;
	shim_note("getaddrinfo: %s: answer %d, %zu addresses", lookup->host,
		  answer, lookup->found.count);
	switch (answer) {
	case SHIM_ANSWER_FOUND:
		if (is_mapped_wanted(lookup->hints) &&
		    !(lookup->hints->ai_flags & AI_ALL))
			drop_mapped(lookup);
		order(lookup);
		return lookup->found.count ? build(lookup, out) : no_address();
	case SHIM_ANSWER_NO_ADDRESS:
		return no_address();
	case SHIM_ANSWER_TRY_AGAIN:
		return EAI_AGAIN;
	default:
		return EAI_NONAME;
	}
}

int shim_getaddrinfo(const char *host, const char *service,
		     const struct addrinfo *hints, struct addrinfo **out,
		     bool *is_ours)
{
	struct lookup lookup = {host, service, hints ? hints : &no_hints,
				{0}};
	int saved_errno = errno, err = 0;

	*is_ours = false;
	if (is_plain_lookup(host, hints) &&
	    shim_name_rule(host) == SHIM_NAME_NODE_FIRST)
		err = by_node(&lookup, out, is_ours);
	errno = saved_errno;
	return err;
}

static bool knows_nothing(int err)
{
	return err == EAI_NODATA || err == EAI_NONAME || err == EAI_AGAIN;
}

int hook_getaddrinfo(const char *host, const char *service,
		     const struct addrinfo *hints, struct addrinfo **out)
{
	struct lookup lookup = {host, service, hints ? hints : &no_hints,
				{0}};
	enum shim_name_rule rule = SHIM_NAME_LIBC;
	int saved_errno = errno;
	int libc_err = 0, err;
	bool is_ours;

	shim_libc_ready();
	if (is_plain_lookup(host, hints))
		rule = shim_name_rule(host);
	errno = saved_errno;
	if (rule != SHIM_NAME_NODE_FIRST) {
		libc_err = libc.getaddrinfo(host, service, hints, out);
		if (rule == SHIM_NAME_LIBC || !knows_nothing(libc_err))
			return libc_err;
	}
	err = by_node(&lookup, out, &is_ours);
	errno = saved_errno;
	if (is_ours)
		return err;
	return libc_err ? libc_err
			: libc.getaddrinfo(host, service, hints, out);
}

/* -- getnameinfo ---------------------------------------------------------- */

/* NI_NOFQDN: the host's part only, for names of our own domain. */
static void shorten(char *name)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);
	struct ts_table_info info;

	if (table && ts_table_read_info(table, &info) &&
	    shim_name_is_under(name, info.suffix) &&
	    strlen(name) > strlen(info.suffix))
		name[strlen(name) - strlen(info.suffix) - 1] = '\0';
}

static int put_name(const char *name, char *host, socklen_t host_cap)
{
	if (strlen(name) >= host_cap)
		return EAI_OVERFLOW;
	memcpy(host, name, strlen(name) + 1);
	return 0;
}

int hook_getnameinfo(const struct sockaddr *addr, socklen_t addr_len,
		     char *host, socklen_t host_cap, char *service,
		     socklen_t service_cap, int flags)
{
	char name[TS_BROKER_NAME_CAP];
	enum shim_name_answer answer;
	int saved_errno = errno;
	struct ts_addr at;
	int err;

	shim_libc_ready();
	if (!host || host_cap == 0 || (flags & NI_NUMERICHOST) ||
	    ts_addr_from_sockaddr(addr, addr_len, &at) != 0 ||
	    !shim_reverse_claims(&at.ip)) {
		errno = saved_errno;
		return libc.getnameinfo(addr, addr_len, host, host_cap,
					service, service_cap, flags);
	}
	answer = shim_reverse(&at.ip, name);
	errno = saved_errno;
	if (answer == SHIM_ANSWER_NOT_OURS)
		return libc.getnameinfo(addr, addr_len, host, host_cap,
					service, service_cap, flags);
	if (answer != SHIM_ANSWER_FOUND) {
		if (flags & NI_NAMEREQD)
			return answer == SHIM_ANSWER_TRY_AGAIN ? EAI_AGAIN
							       : EAI_NONAME;
		return libc.getnameinfo(addr, addr_len, host, host_cap,
					service, service_cap,
					flags | NI_NUMERICHOST);
	}
	if (flags & NI_NOFQDN)
		shorten(name);
	err = put_name(name, host, host_cap);
	if (err || !service || service_cap == 0)
		return err;
	return libc.getnameinfo(addr, addr_len, NULL, 0, service, service_cap,
				flags & ~NI_NAMEREQD);
}
