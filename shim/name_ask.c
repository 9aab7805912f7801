/* SPDX-License-Identifier: BSD-3-Clause
 * name_ask.c - names and addresses by the node
 *
 * An answer of a family that was not asked for is dropped here, whatever the
 * host says.
 */
#include "shim/name_ask.h"

#include <string.h>

static void keep_wanted(const struct ts_broker_reply *rep, uint8_t want,
			struct shim_addresses *out)
{
	for (size_t i = 0; i < rep->addr_count; i++) {
		uint8_t family = ts_ip_is_v4(&rep->addrs[i])
					 ? TS_BROKER_WANT_V4
					 : TS_BROKER_WANT_V6;

		if (want & family)
			out->ips[out->count++] = rep->addrs[i];
	}
}

enum shim_name_answer shim_resolve(const char *name, uint8_t want,
				   struct shim_addresses *out)
{
	struct ts_broker_request req = {.type = TS_BROKER_RESOLVE,
					.flags = want};
	struct ts_broker_reply rep;
	size_t len = strlen(name);

	out->count = 0;
	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len >= sizeof(req.name))
		return SHIM_ANSWER_NOT_OURS;
	memcpy(req.name, name, len);
	if (shim_ask_for(&req, -1, &rep) != 0)
		return SHIM_ANSWER_TRY_AGAIN;
	if (rep.answer == TS_ANSWER_NOT_OURS)
		return SHIM_ANSWER_NOT_OURS;
	if (rep.answer == TS_ANSWER_NXDOMAIN)
		return SHIM_ANSWER_NO_NAME;
	keep_wanted(&rep, want, out);
	memcpy(out->canonical, *rep.name ? rep.name : req.name,
	       sizeof(out->canonical));
	return out->count ? SHIM_ANSWER_FOUND : SHIM_ANSWER_NO_ADDRESS;
}

enum shim_name_answer shim_query(const uint8_t *query, size_t len,
				 void *answer, size_t cap, size_t *answer_len)
{
	struct ts_broker_request req = {.type = TS_BROKER_DNS,
					.data = query,
					.data_len = len,
					.answer = answer,
					.answer_cap = cap};
	struct ts_broker_reply rep;

	if (len > TS_BROKER_QUERY_MAX)
		return SHIM_ANSWER_NOT_OURS;
	if (shim_ask_for(&req, -1, &rep) != 0)
		return SHIM_ANSWER_TRY_AGAIN;
	if (rep.answer != TS_ANSWER_FOUND)
		return SHIM_ANSWER_NOT_OURS;
	*answer_len = rep.data_len;
	return SHIM_ANSWER_FOUND;
}

bool shim_reverse_claims(const struct ts_ip *ip)
{
	const struct ts_table_layout *table;
	char text[TS_IP_TEXT_CAP];

	if (shim_resolves_natively())
		return false;
	if (shim_claims_ip(ip))
		return shim_table_if_configured();
	/* The tailnet's resolvers may be for the names of all addresses. */
	table = shim_table();
	return table && ts_table_routes_names(table) &&
	       !shim_hosts_file_has(ts_ip_format(ip, text));
}

enum shim_name_answer shim_reverse(const struct ts_ip *ip,
				   char out[static TS_BROKER_NAME_CAP])
{
	struct ts_broker_request req = {.type = TS_BROKER_REVERSE,
					.tailnet = {.ip = *ip}};
	struct ts_broker_reply rep;

	if (shim_ask_for(&req, -1, &rep) != 0)
		return SHIM_ANSWER_TRY_AGAIN;
	/* Addresses behind a subnet router have names of other zones; FOUND,
	 * and yet no name: the resolvers that the tailnet has for them know
	 * none. */
	if (!*rep.name)
		return rep.answer == TS_ANSWER_FOUND || ts_ip_is_tailscale(ip)
			       ? SHIM_ANSWER_NO_NAME
			       : SHIM_ANSWER_NOT_OURS;
	memcpy(out, rep.name, TS_BROKER_NAME_CAP);
	return SHIM_ANSWER_FOUND;
}
