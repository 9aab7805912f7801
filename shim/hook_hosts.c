/* SPDX-License-Identifier: BSD-3-Clause
 * hook_hosts.c - gethostbyname, gethostbyaddr and their kin
 *
 * The older family: one address family a call, results in a caller's buffer or
 * in a static one. A result that does not fit is ERANGE and NETDB_INTERNAL, as
 * libc says it, and the caller comes again with more room.
 */
#include <netinet/in.h>
#include <string.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/name_ask.h"
#include "shim/shim.h"

/* Where a struct hostent's parts are put. */
struct room {
	char *at;
	size_t left;
	bool is_full;
};

static void *take(struct room *room, size_t len, size_t align)
{
	size_t skip = (size_t)-(uintptr_t)room->at % align;
	void *out = room->at + skip;

	if (room->is_full || room->left < skip || room->left - skip < len) {
		room->is_full = true;
		return NULL;
	}
	room->at += skip + len;
	room->left -= skip + len;
	return out;
}

static char *take_copy(struct room *room, const void *data, size_t len)
{
	char *out = take(room, len, 1);

	if (out)
		memcpy(out, data, len);
	return out;
}

/* 0 or ERANGE, a positive errno as the _r functions return it. */
static int fill(struct hostent *ent, struct room *room, int family,
		const char *name, const struct ts_ip *ips, size_t count)
{
	size_t len = family == AF_INET ? 4 : TS_IP_LEN;
	char **list = take(room, (count + 2) * sizeof(*list), sizeof(*list));

	ent->h_name = take_copy(room, name, strlen(name) + 1);
	ent->h_addrtype = family;
	ent->h_length = (int)len;
	for (size_t i = 0; list && i < count; i++)
		list[i] = take_copy(room, ips[i].bytes + TS_IP_LEN - len, len);
	if (room->is_full)
		return ERANGE;
	list[count] = NULL;
	list[count + 1] = NULL;
	ent->h_addr_list = list;
	ent->h_aliases = list + count + 1; /* none */
	return 0;
}

static int as_h_errno(enum shim_name_answer answer)
{
	switch (answer) {
	case SHIM_ANSWER_FOUND:
		return NETDB_SUCCESS;
	case SHIM_ANSWER_NO_ADDRESS:
		return NO_DATA;
	case SHIM_ANSWER_TRY_AGAIN:
		return TRY_AGAIN;
	default:
		return HOST_NOT_FOUND;
	}
}

/* -- by name -------------------------------------------------------------- */

/* What both the _r and the static form want to know. */
struct question {
	const char *name;
	int family;
	struct hostent *ent;
	char *buf;
	size_t cap;
};

/* 0 or a positive errno; *h_err and *is_ours say the rest. */
static int by_node(const struct question *q, struct hostent **out, int *h_err,
		   bool *is_ours)
{
	struct room room = {q->buf, q->cap, false};
	struct shim_addresses found;
	enum shim_name_answer answer = shim_resolve(
		q->name,
		q->family == AF_INET ? TS_BROKER_WANT_V4 : TS_BROKER_WANT_V6,
		&found);
	int err;

	*out = NULL;
	*is_ours = answer != SHIM_ANSWER_NOT_OURS;
	*h_err = as_h_errno(answer);
	if (answer != SHIM_ANSWER_FOUND)
		return answer == SHIM_ANSWER_TRY_AGAIN ? EAGAIN : 0;
	err = fill(q->ent, &room, q->family, found.canonical, found.ips,
		   found.count);
	if (err)
		*h_err = NETDB_INTERNAL;
	else
		*out = q->ent;
	return err;
}

static enum shim_name_rule rule_for(const char *name, int family)
{
	int saved_errno = errno;
	enum shim_name_rule rule = SHIM_NAME_LIBC;

	if (name && !shim_resolves_natively() &&
	    (family == AF_INET || family == AF_INET6))
		rule = shim_name_rule(name);
	errno = saved_errno;
	return rule;
}

static int ask_libc(const struct question *q, struct hostent **out, int *h_err,
		    bool has_family)
{
	if (has_family)
		return libc.gethostbyname2_r(q->name, q->family, q->ent,
					     q->buf, q->cap, out, h_err);
	return libc.gethostbyname_r(q->name, q->ent, q->buf, q->cap, out,
				    h_err);
}

static bool knows_nothing(const struct hostent *found, int h_err)
{
	return !found && (h_err == HOST_NOT_FOUND || h_err == TRY_AGAIN ||
			  h_err == NO_DATA);
}

static int by_name_r(const struct question *q, struct hostent **out, int *h_err,
		     bool has_family)
{
	enum shim_name_rule rule = rule_for(q->name, q->family);
	bool is_asked = rule != SHIM_NAME_NODE_FIRST, is_ours;
	int libc_err = 0, libc_h_err = 0, saved_errno, err;

	if (is_asked) {
		libc_err = ask_libc(q, out, h_err, has_family);
		if (rule == SHIM_NAME_LIBC || !knows_nothing(*out, *h_err))
			return libc_err;
		libc_h_err = *h_err;
	}
	saved_errno = errno;
	err = by_node(q, out, h_err, &is_ours);
	errno = saved_errno;
	if (is_ours)
		return err;
	if (!is_asked)
		return ask_libc(q, out, h_err, has_family);
	*h_err = libc_h_err;
	return libc_err;
}

int hook_gethostbyname_r(const char *name, struct hostent *ent, char *buf,
			 size_t cap, struct hostent **out, int *h_err)
{
	const struct question q = {name, AF_INET, ent, buf, cap};

	shim_libc_ready();
	return by_name_r(&q, out, h_err, false);
}

int hook_gethostbyname2_r(const char *name, int family, struct hostent *ent,
			  char *buf, size_t cap, struct hostent **out,
			  int *h_err)
{
	const struct question q = {name, family, ent, buf, cap};

	shim_libc_ready();
	return by_name_r(&q, out, h_err, true);
}

static struct hostent *ask_libc_static(const char *name, int family,
				       bool has_family)
{
	return has_family ? libc.gethostbyname2(name, family)
			  : libc.gethostbyname(name);
}

static struct hostent *by_name(const char *name, int family, bool has_family)
{
	const struct question q = {name, family, &shim.hostent,
				   shim.hostent_bytes,
				   sizeof(shim.hostent_bytes)};
	enum shim_name_rule rule = rule_for(name, family);
	bool is_asked = rule != SHIM_NAME_NODE_FIRST, is_ours;
	struct hostent *found = NULL;
	int saved_errno, h_err;

	if (is_asked) {
		found = ask_libc_static(name, family, has_family);
		if (rule == SHIM_NAME_LIBC || !knows_nothing(found, h_errno))
			return found;
	}
	saved_errno = errno;
	by_node(&q, &found, &h_err, &is_ours);
	errno = saved_errno;
	if (!is_ours)
		return is_asked ? NULL
				: ask_libc_static(name, family, has_family);
	h_errno = h_err;
	return found;
}

struct hostent *hook_gethostbyname(const char *name)
{
	shim_libc_ready();
	return by_name(name, AF_INET, false);
}

struct hostent *hook_gethostbyname2(const char *name, int family)
{
	shim_libc_ready();
	return by_name(name, family, true);
}

/* -- by address ----------------------------------------------------------- */

/* Is it an address that the node can name? */
static bool read_address(const void *addr, socklen_t len, int family,
			 struct ts_ip *out)
{
	if (!addr)
		return false;
	if (family == AF_INET && len == 4)
		*out = ts_ip_from_v4(addr);
	else if (family == AF_INET6 && len == TS_IP_LEN)
		memcpy(out->bytes, addr, TS_IP_LEN);
	else
		return false;
	return shim_reverse_claims(out);
}

/* 0 or a positive errno; *is_ours false: libc must say. */
static int reverse(const struct ts_ip *ip, int family, struct hostent *ent,
		   struct room room, int *h_err, bool *is_ours)
{
	char name[TS_BROKER_NAME_CAP];
	enum shim_name_answer answer = shim_reverse(ip, name);
	int err = 0;

	*is_ours = answer != SHIM_ANSWER_NOT_OURS;
	*h_err = as_h_errno(answer);
	if (answer == SHIM_ANSWER_TRY_AGAIN)
		return EAGAIN;
	if (answer == SHIM_ANSWER_FOUND)
		err = fill(ent, &room, family, name, ip, 1);
	if (err)
		*h_err = NETDB_INTERNAL;
	return err;
}

int hook_gethostbyaddr_r(const void *addr, socklen_t len, int family,
			 struct hostent *ent, char *buf, size_t cap,
			 struct hostent **out, int *h_err)
{
	int saved_errno = errno, err = 0;
	bool is_ours = false;
	struct ts_ip ip;

	shim_libc_ready();
	if (read_address(addr, len, family, &ip))
		err = reverse(&ip, family, ent, (struct room){buf, cap, false},
			      h_err, &is_ours);
	errno = saved_errno;
	if (!is_ours)
		return libc.gethostbyaddr_r(addr, len, family, ent, buf, cap,
					    out, h_err);
	*out = *h_err == NETDB_SUCCESS ? ent : NULL;
	return err;
}

struct hostent *hook_gethostbyaddr(const void *addr, socklen_t len, int family)
{
	const struct room room = {shim.hostent_bytes,
				  sizeof(shim.hostent_bytes), false};
	int saved_errno = errno, h_err = 0;
	bool is_ours = false;
	struct ts_ip ip;

	shim_libc_ready();
	if (read_address(addr, len, family, &ip))
		reverse(&ip, family, &shim.hostent, room, &h_err, &is_ours);
	errno = saved_errno;
	if (!is_ours)
		return libc.gethostbyaddr(addr, len, family);
	h_errno = h_err;
	return h_err == NETDB_SUCCESS ? &shim.hostent : NULL;
}
