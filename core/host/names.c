/* SPDX-License-Identifier: BSD-3-Clause
 * names.c - RESOLVE, REVERSE and DNS
 *
 * Answers come from the netmap alone; before it is there nobody can say
 * whether a name is ours, so the request is held.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/dns/dns_wire.h"
#include "core/host/host_internal.h"
#include "core/host/node_choice.h"
#include "core/host/stand_ins.h"

_Static_assert((int)TS_BROKER_ADDRS_MAX >= (int)TS_MAGIC_DNS_ADDRS_MAX,
	       "all addresses of a name fit into one reply");
_Static_assert((int)TS_BROKER_NAME_CAP >= (int)TS_DNS_NAME_CAP,
	       "a canonical name fits into one reply");

static void resolve(const struct ts_member *member,
		    const struct ts_broker_request *req,
		    struct ts_broker_reply *rep)
{
	struct ts_dns_result result = {0};
	bool want_v4 = req->flags & TS_BROKER_WANT_V4;
	bool want_v6 = req->flags & TS_BROKER_WANT_V6;

	switch (ts_node_lookup(member->node, req->name, want_v4, want_v6,
			       &result)) {
	case TS_DNS_NOT_OURS:
		rep->answer = TS_ANSWER_NOT_OURS;
		return;
	case TS_DNS_NXDOMAIN:
		rep->answer = TS_ANSWER_NXDOMAIN;
		return;
	case TS_DNS_FOUND:
		break;
	}
	rep->answer = TS_ANSWER_FOUND;
	rep->addr_count = (uint8_t)result.count;
	memcpy(rep->addrs, result.addrs, result.count * sizeof(rep->addrs[0]));
	snprintf(rep->name, sizeof(rep->name), "%s", result.canonical);
}

/* A stand-in's name is the one that it was given for. */
static bool reverse_stand_in(struct ts_host *host,
			     const struct ts_broker_request *req,
			     struct ts_broker_reply *rep)
{
	const struct ts_stand_in *s =
		req->type == TS_BROKER_REVERSE
			? ts_stand_in_find(host, &req->tailnet.ip)
			: NULL;

	if (!s)
		return false;
	rep->answer = TS_ANSWER_FOUND;
	snprintf(rep->name, sizeof(rep->name), "%s", s->name);
	return true;
}

/* The name of what a message answers, as it was asked for. */
static bool tell_message(struct ts_member *member,
			 const struct ts_broker_reply *rep)
{
	char name[DNS_TEXT_CAP];
	size_t at = DNS_HEADER_LEN;
	bool is_odd;

	return ts_dns_read_name(rep->data, rep->data_len, &at, name, &is_odd) ||
	       ts_stand_ins_tell_message(member, name, member->host->scratch,
					 rep->data_len);
}

void ts_names_tell(struct ts_member *member, uint8_t node,
		   struct ts_broker_reply *rep)
{
	uint8_t kept = 0;

	if (node > 0 || member->host->member_count == 1)
		return;
	if (rep->data && !tell_message(member, rep))
		rep->error = EAGAIN;
	for (uint8_t i = 0; i < rep->addr_count; i++)
		if (ts_stand_in_tell(member, rep->name, &rep->addrs[i]))
			rep->addrs[kept++] = rep->addrs[i];
	if (kept == 0 && rep->addr_count > 0)
		rep->error = EAGAIN;
	rep->addr_count = kept;
}

static void reverse(const struct ts_member *member,
		    const struct ts_broker_request *req,
		    struct ts_broker_reply *rep)
{
	const char *name = ts_node_reverse(member->node, &req->tailnet.ip);

	if (!name)
		return;
	rep->answer = TS_ANSWER_FOUND;
	snprintf(rep->name, sizeof(rep->name), "%s", name);
}

/* The program's resolver takes what fits into its buffer: no limit here. */
static void answer_query(const struct ts_member *member,
			 const struct ts_broker_request *req,
			 struct ts_broker_reply *rep)
{
	uint8_t *scratch = member->host->scratch;
	int len = ts_node_dns_answer(member->node, req->data, req->data_len,
				     false, scratch, HOST_SCRATCH_BYTES);

	if (len < 0)
		rep->error = -len;
	if (len <= 0)
		return;
	rep->answer = TS_ANSWER_FOUND;
	rep->data = scratch;
	rep->data_len = (size_t)len;
}

static void ask(const struct ts_member *member,
		const struct ts_broker_request *req,
		struct ts_broker_reply *rep)
{
	*rep = (struct ts_broker_reply){.type = req->type,
					.answer = TS_ANSWER_NOT_OURS};
	if (req->type == TS_BROKER_RESOLVE)
		resolve(member, req, rep);
	else if (req->type == TS_BROKER_REVERSE)
		reverse(member, req, rep);
	else
		answer_query(member, req, rep);
}

static bool is_asked(const struct ts_member *member,
		     const struct ts_broker_request *req)
{
	return req->node == 0 || req->node == member->index + 1;
}

/* "No such name" may be another tailnet's name. */
static bool is_final(const struct ts_broker_reply *rep)
{
	return rep->error == 0 && rep->answer == TS_ANSWER_FOUND &&
	       (!rep->data || (rep->data_len >= DNS_HEADER_LEN &&
			       (rep->data[3] & DNS_RCODE_MASK) == DNS_NOERROR));
}

/* The one whose name it is by the user's word. */
static struct ts_member *owner_of(struct ts_host *host,
				  const struct ts_broker_request *req)
{
	if (req->node > 0 || req->type != TS_BROKER_RESOLVE)
		return NULL;
	return ts_choose_for_name(host, req->name);
}

/* The first that knows it; else the first that says that nobody does. Each
 * answer is where the one before was. NULL: none has a netmap. */
static struct ts_member *ask_all(struct ts_host *host,
				 const struct ts_broker_request *req,
				 struct ts_broker_reply *rep)
{
	struct ts_member *owner = owner_of(host, req), *best = NULL;
	bool is_said = false;

	for (unsigned i = 0; i < host->member_count; i++) {
		struct ts_member *member = &host->members[i];

		if ((owner && owner != member) || !is_asked(member, req) ||
		    !ts_member_has_netmap(member))
			continue;
		ask(member, req, rep);
		if (is_final(rep))
			return member;
		if (best && (is_said || rep->answer == TS_ANSWER_NOT_OURS))
			continue;
		best = member;
		is_said = rep->answer != TS_ANSWER_NOT_OURS || rep->error;
	}
	if (best)
		ask(best, req, rep);
	return best;
}

/* Nobody has said yes. Nobody could know whose name it is before the first
 * netmap is there; after that those nodes that may come up any moment are
 * waited for: libc does not know the name either, or it is only a tailnet's. */
static bool may_come(const struct ts_host *host,
		     const struct ts_broker_request *req, bool has_one)
{
	for (unsigned i = 0; i < host->member_count; i++) {
		const struct ts_member *member = &host->members[i];

		if (!is_asked(member, req) || ts_member_has_netmap(member) ||
		    ts_member_is_down(member))
			continue;
		if (!has_one || ts_member_is_awaited(member))
			return true;
	}
	return false;
}

/* Whoever stopped it wants to do without; a login that failed must not send the
 * tailnet's names elsewhere. */
static bool has_failed(const struct ts_host *host,
		       const struct ts_broker_request *req)
{
	for (unsigned i = 0; i < host->member_count; i++) {
		const struct ts_member *member = &host->members[i];

		if (is_asked(member, req) && ts_member_is_down(member) &&
		    ts_node_state(member->node) != TS_STOPPED)
			return true;
	}
	return false;
}

bool ts_names_answer(struct ts_host *host, const struct ts_broker_request *req,
		     struct ts_broker_reply *rep)
{
	struct ts_member *by;

	rep->answer = TS_ANSWER_NOT_OURS;
	if (reverse_stand_in(host, req, rep))
		return true;
	by = ask_all(host, req, rep);
	if (by && is_final(rep) && req->type != TS_BROKER_REVERSE)
		ts_names_tell(by, req->node, rep);
	if (by && (is_final(rep) || rep->error))
		return true;
	if (may_come(host, req, by != NULL))
		return false;
	if (!by && has_failed(host, req))
		rep->error = ENETDOWN;
	return true;
}
