/* SPDX-License-Identifier: BSD-3-Clause
 * hook_resolver.c - res_query, res_search, res_send and their kin
 *
 * For programs that want records, or do without getaddrinfo: the tailnet's
 * names, and reverse names that are its, are answered by the node with a DNS
 * message, which goes into the program's buffer as it is; all others by libc,
 * with the program's own arguments and state. So the search list, options and
 * name servers of a state count for libc's names alone.
 *
 * A name that the node does not know is libc's question in turn, but for one
 * under the tailnet's suffix, where the node's "no such name" stands.
 */
#include <netinet/in.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/wire.h"
#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/name_ask.h"
#include "shim/shim.h"

enum {
	HEADER_LEN = 12,
	FLAG_RESPONSE = 0x8000,
	FLAG_RECURSION_DESIRED = 0x0100,
	RCODE_MASK = 0x0f,
	LABEL_MAX = 63,
	NAME_CAP = 256, /* as text */
	QUERY_CAP = HEADER_LEN + 255 + 4,
};

/* -- messages ------------------------------------------------------------- */

/* The length, or 0 for a name that is none. No answer is mixed up with
 * another's here, so the ID need not be a secret. */
static size_t make_query(const char *name, int class, int type,
			 uint8_t out[static QUERY_CAP])
{
	struct ts_writer w = ts_writer_init(out, QUERY_CAP);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ts_write_be16(&w, (uint16_t)(now.tv_nsec >> 4));
	ts_write_be16(&w, FLAG_RECURSION_DESIRED);
	ts_write_be16(&w, 1);
	ts_write_zeros(&w, 6);
	while (*name) {
		size_t len = strcspn(name, ".");

		if (len == 0 || len > LABEL_MAX)
			return 0;
		ts_write_u8(&w, (uint8_t)len);
		ts_write_bytes(&w, name, len);
		name += len + (name[len] == '.');
	}
	ts_write_u8(&w, 0);
	ts_write_be16(&w, (uint16_t)type);
	ts_write_be16(&w, (uint16_t)class);
	return w.bad ? 0 : w.len;
}

/* The name that a query asks for, as text; false: not a plain one. */
static bool read_name(const uint8_t *query, size_t len,
		      char out[static NAME_CAP])
{
	struct ts_reader r = ts_reader_init(query, len);
	struct ts_writer w = ts_writer_init(out, NAME_CAP - 1);
	uint16_t flags, questions;
	size_t label_len;

	ts_read_skip(&r, 2);
	flags = ts_read_be16(&r);
	questions = ts_read_be16(&r);
	ts_read_skip(&r, 6);
	if ((flags & FLAG_RESPONSE) || questions != 1)
		return false;
	while ((label_len = ts_read_u8(&r)) > 0 && !w.bad) {
		const uint8_t *label = ts_read_view(&r, label_len);

		if (r.bad || label_len > LABEL_MAX ||
		    memchr(label, '.', label_len) ||
		    memchr(label, '\0', label_len))
			return false;
		if (w.len > 0)
			ts_write_u8(&w, '.');
		ts_write_bytes(&w, label, label_len);
	}
	if (r.bad || w.bad || w.len == 0)
		return false;
	out[w.len] = '\0';
	return true;
}

/* What res_query says of an answer: NETDB_SUCCESS or h_errno's other words. */
static int verdict_on(const uint8_t *answer)
{
	struct ts_reader r = ts_reader_init(answer, HEADER_LEN);
	unsigned rcode, count;

	ts_read_skip(&r, 2);
	rcode = ts_read_be16(&r) & RCODE_MASK;
	ts_read_skip(&r, 2);
	count = ts_read_be16(&r);
	switch (rcode) {
	case ns_r_noerror:
		return count ? NETDB_SUCCESS : NO_DATA;
	case ns_r_nxdomain:
		return HOST_NOT_FOUND;
	case ns_r_servfail:
		return TRY_AGAIN;
	default:
		return NO_RECOVERY;
	}
}

/* -- queries by name ------------------------------------------------------ */

/* A call of res_query, res_search or res_querydomain. */
struct lookup {
	res_state state; /* of the form with n */
	const char *name, *domain;
	int class, type;
	unsigned char *answer;
	int cap;
	int (*ask_libc)(const struct lookup *l);
};

static void set_h_errno(const struct lookup *l, int value)
{
	h_errno = value;
	if (l->state)
		l->state->res_h_errno = value;
}

/* This libc has no such function, or cannot be asked for it. */
static int no_function(const struct lookup *l)
{
	set_h_errno(l, NO_RECOVERY);
	errno = ENOSYS;
	return -1;
}

static int libc_query(const struct lookup *l)
{
	const struct shim_resolver *r = &libc.resolver;

	if (l->state)
		return r->nquery ? r->nquery(l->state, l->name, l->class,
					     l->type, l->answer, l->cap)
				 : no_function(l);
	return r->query ? r->query(l->name, l->class, l->type, l->answer,
				   l->cap)
			: no_function(l);
}

static int libc_search(const struct lookup *l)
{
	const struct shim_resolver *r = &libc.resolver;

	if (l->state)
		return r->nsearch ? r->nsearch(l->state, l->name, l->class,
					       l->type, l->answer, l->cap)
				  : no_function(l);
	return r->search ? r->search(l->name, l->class, l->type, l->answer,
				     l->cap)
			 : no_function(l);
}

static int libc_querydomain(const struct lookup *l)
{
	const struct shim_resolver *r = &libc.resolver;

	if (l->state)
		return r->ndomain ? r->ndomain(l->state, l->name, l->domain,
					       l->class, l->type, l->answer,
					       l->cap)
				  : no_function(l);
	return r->domain ? r->domain(l->name, l->domain, l->class, l->type,
				     l->answer, l->cap)
			 : no_function(l);
}

/* The result, or -1 with h_errno; *is_ours false: libc must say. */
static int by_node(const struct lookup *l, const char *name, bool *is_ours)
{
	uint8_t query[QUERY_CAP];
	size_t len = make_query(name, l->class, l->type, query);
	size_t answer_len = 0;
	enum shim_name_answer answer = SHIM_ANSWER_NOT_OURS;
	int verdict = TRY_AGAIN;

	if (len > 0 && l->cap >= HEADER_LEN)
		answer = shim_query(query, len, l->answer, (size_t)l->cap,
				    &answer_len);
	*is_ours = answer != SHIM_ANSWER_NOT_OURS;
	if (!*is_ours)
		return -1;
	if (answer == SHIM_ANSWER_FOUND && answer_len >= HEADER_LEN)
		verdict = verdict_on(l->answer);
	shim_note("res_query: %s: %zu bytes, h_errno %d", name, answer_len,
		  verdict);
	set_h_errno(l, verdict);
	return verdict == NETDB_SUCCESS ? (int)answer_len : -1;
}

static bool knows_nothing(int libc_ret)
{
	return libc_ret < 0 && (h_errno == HOST_NOT_FOUND ||
				h_errno == NO_DATA || h_errno == TRY_AGAIN);
}

static int look_up(const struct lookup *l, const char *name)
{
	int saved_errno = errno, ret = -1;
	enum shim_name_rule rule = shim_query_rule(name);
	bool is_asked = rule != SHIM_NAME_NODE_FIRST, is_ours;
	int node_ret;

	errno = saved_errno;
	if (is_asked) {
		ret = l->ask_libc(l);
		if (rule == SHIM_NAME_LIBC || !knows_nothing(ret))
			return ret;
		saved_errno = errno;
	}
	node_ret = by_node(l, name, &is_ours);
	errno = saved_errno;
	if (is_ours)
		return node_ret;
	return is_asked ? ret : l->ask_libc(l);
}

/* The tailnet's own search list comes before the program's: "web" is
 * "web.tailnet.ts.net" if there is such a node. */
static bool search_tailnet(const struct lookup *l, int *ret)
{
	struct shim_addresses found;
	int saved_errno = errno;
	bool is_ours = false;

	if (strchr(l->name, '.') ||
	    shim_query_rule(l->name) != SHIM_NAME_NODE_FIRST)
		return false;
	if (shim_resolve(l->name, TS_BROKER_WANT_V4 | TS_BROKER_WANT_V6,
			 &found) == SHIM_ANSWER_FOUND)
		*ret = by_node(l, found.canonical, &is_ours);
	errno = saved_errno;
	return is_ours;
}

static void get_ready(void)
{
	const struct shim_resolver *r = &libc.resolver;

	shim_libc_ready();
	if (!r->query && !shim_resolves_natively())
		shim_libc_look_up_late();
}

static int query(res_state state, const char *name, int class, int type,
		 unsigned char *answer, int cap)
{
	const struct lookup l = {state,	 name, NULL, class, type,
				 answer, cap,  libc_query};

	get_ready();
	return look_up(&l, name);
}

static int search(res_state state, const char *name, int class, int type,
		  unsigned char *answer, int cap)
{
	const struct lookup l = {state,	 name, NULL, class, type,
				 answer, cap,  libc_search};
	int ret = 0;

	get_ready();
	if (search_tailnet(&l, &ret))
		return ret;
	return look_up(&l, name);
}

static int querydomain(res_state state, const char *name, const char *domain,
		       int class, int type, unsigned char *answer, int cap)
{
	const struct lookup l = {state,	 name, domain, class, type,
				 answer, cap,  libc_querydomain};
	char full[NAME_CAP];
	int len;

	get_ready();
	len = domain ? snprintf(full, sizeof(full), "%s.%s", name, domain)
		     : snprintf(full, sizeof(full), "%s", name);
	if (len < 0 || (size_t)len >= sizeof(full))
		return l.ask_libc(&l);
	return look_up(&l, full);
}

/* -- ready-made queries --------------------------------------------------- */

static int libc_send(res_state state, const unsigned char *message, int len,
		     unsigned char *answer, int cap)
{
	const struct shim_resolver *r = &libc.resolver;

	if (state && r->nsend)
		return r->nsend(state, message, len, answer, cap);
	if (!state && r->send)
		return r->send(message, len, answer, cap);
	errno = ENOSYS;
	return -1;
}

/* An answer of any kind counts: "no such name" is one. */
static int send_query(res_state state, const unsigned char *message, int len,
		      unsigned char *answer, int cap)
{
	enum shim_name_rule rule = SHIM_NAME_LIBC;
	int saved_errno = errno;
	char name[NAME_CAP];
	size_t answer_len;
	int ret = -1;

	get_ready();
	if (len > 0 && cap >= HEADER_LEN &&
	    read_name(message, (size_t)len, name))
		rule = shim_query_rule(name);
	errno = saved_errno;
	if (rule != SHIM_NAME_NODE_FIRST) {
		ret = libc_send(state, message, len, answer, cap);
		if (rule == SHIM_NAME_LIBC ||
		    (ret >= HEADER_LEN &&
		     verdict_on(answer) != HOST_NOT_FOUND))
			return ret;
		saved_errno = errno;
	}
	switch (shim_query(message, (size_t)len, answer, (size_t)cap,
			   &answer_len)) {
	case SHIM_ANSWER_FOUND:
		errno = saved_errno;
		return (int)answer_len;
	case SHIM_ANSWER_TRY_AGAIN:
		errno = ETIMEDOUT;
		return ret;
	default:
		break;
	}
	errno = saved_errno;
	return rule == SHIM_NAME_NODE_FIRST
		       ? libc_send(state, message, len, answer, cap)
		       : ret;
}

/* -- the hooks ------------------------------------------------------------ */

int hook_res_query(const char *name, int class, int type,
		   unsigned char *answer, int cap)
{
	return query(NULL, name, class, type, answer, cap);
}

int hook_res_search(const char *name, int class, int type,
		    unsigned char *answer, int cap)
{
	return search(NULL, name, class, type, answer, cap);
}

int hook_res_querydomain(const char *name, const char *domain, int class,
			 int type, unsigned char *answer, int cap)
{
	return querydomain(NULL, name, domain, class, type, answer, cap);
}

int hook_res_send(const unsigned char *message, int len,
		  unsigned char *answer, int cap)
{
	return send_query(NULL, message, len, answer, cap);
}

int hook_res_nquery(void *state, const char *name, int class, int type,
		    unsigned char *answer, int cap)
{
	return query(state, name, class, type, answer, cap);
}

int hook_res_nsearch(void *state, const char *name, int class, int type,
		     unsigned char *answer, int cap)
{
	return search(state, name, class, type, answer, cap);
}

int hook_res_nquerydomain(void *state, const char *name, const char *domain,
			  int class, int type, unsigned char *answer, int cap)
{
	return querydomain(state, name, domain, class, type, answer, cap);
}

int hook_res_nsend(void *state, const unsigned char *message, int len,
		   unsigned char *answer, int cap)
{
	return send_query(state, message, len, answer, cap);
}

int hook_old_res_query(const char *name, int class, int type,
		       unsigned char *answer, int cap)
	SHIM_HOOK_ALIAS(res_query, __res_query);
int hook_old_res_search(const char *name, int class, int type,
			unsigned char *answer, int cap)
	SHIM_HOOK_ALIAS(res_search, __res_search);
int hook_old_res_querydomain(const char *name, const char *domain, int class,
			     int type, unsigned char *answer, int cap)
	SHIM_HOOK_ALIAS(res_querydomain, __res_querydomain);
int hook_old_res_send(const unsigned char *message, int len,
		      unsigned char *answer, int cap)
	SHIM_HOOK_ALIAS(res_send, __res_send);
int hook_old_res_nquery(void *state, const char *name, int class, int type,
			unsigned char *answer, int cap)
	SHIM_HOOK_ALIAS(res_nquery, __res_nquery);
int hook_old_res_nsearch(void *state, const char *name, int class, int type,
			 unsigned char *answer, int cap)
	SHIM_HOOK_ALIAS(res_nsearch, __res_nsearch);
int hook_old_res_nquerydomain(void *state, const char *name,
			      const char *domain, int class, int type,
			      unsigned char *answer, int cap)
	SHIM_HOOK_ALIAS(res_nquerydomain, __res_nquerydomain);
int hook_old_res_nsend(void *state, const unsigned char *message, int len,
		       unsigned char *answer, int cap)
	SHIM_HOOK_ALIAS(res_nsend, __res_nsend);
