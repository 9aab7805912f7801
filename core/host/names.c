/* SPDX-License-Identifier: BSD-3-Clause
 * names.c - RESOLVE, REVERSE and DNS
 *
 * Answers come from the netmap alone; before it is there nobody can say
 * whether a name is ours, so the request is held.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/host/host_internal.h"

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

bool ts_names_answer(struct ts_host *host, const struct ts_broker_request *req,
		     struct ts_broker_reply *rep)
{
	const struct ts_member *member = ts_host_first(host);

	rep->answer = TS_ANSWER_NOT_OURS;
	if (!ts_member_has_netmap(member)) {
		if (!ts_member_is_down(member))
			return false;
		/* Whoever stopped it wants to do without; a login that failed
		 * must not send the tailnet's names elsewhere. */
		if (ts_node_state(member->node) != TS_STOPPED)
			rep->error = ENETDOWN;
		return true;
	}
	if (req->type == TS_BROKER_RESOLVE)
		resolve(member, req, rep);
	else if (req->type == TS_BROKER_REVERSE)
		reverse(member, req, rep);
	else
		answer_query(member, req, rep);
	return true;
}
