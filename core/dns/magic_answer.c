/* SPDX-License-Identifier: BSD-3-Clause
 * magic_answer.c - one DNS query to 100.100.100.100, answered or passed on
 * Source: net/dns/resolver/tsdns.go; RFC 1035, RFC 2308 (negative answers)
 */
#include "core/dns/magic_dns_private.h"

#include <errno.h>
#include <string.h>

#include "core/dns/dns_wire.h"
#include "core/dns/special_names.h"

enum {
	POSITIVE_TTL_S = 5,
	NEGATIVE_TTL_S = 10,
	FORWARD = 0,
	TCP_MAX = 65535,
};

/* Where the answer goes and how long it may be. */
struct target {
	uint8_t *out;
	size_t cap;
};

static int plain_answer(const struct ts_dns_query *q, enum ts_dns_rcode rcode,
			const struct target *to)
{
	struct ts_dns_response r;

	ts_dns_response_init(&r, q, rcode, to->out, to->cap);
	return ts_dns_response_finish(&r);
}

/* No such name, or nothing of that type: with the zone's SOA, so that the
 * asker may remember it. */
static int negative_answer(const struct ts_magic_dns *dns,
			   const struct ts_dns_query *q,
			   enum ts_dns_rcode rcode, const struct target *to)
{
	const char *zone = ts_magic_dns_zone(dns, q->name);
	struct ts_dns_response r;

	ts_dns_response_init(&r, q, rcode, to->out, to->cap);
	if (zone)
		ts_dns_add_soa(&r, zone, NEGATIVE_TTL_S);
	return ts_dns_response_finish(&r);
}

static int address_answer(const struct ts_dns_query *q,
			  const struct ts_dns_result *found,
			  const struct target *to)
{
	struct ts_dns_response r;

	ts_dns_response_init(&r, q, DNS_NOERROR, to->out, to->cap);
	for (size_t i = 0; i < found->count; i++)
		ts_dns_add_ip(&r, &found->addrs[i], POSITIVE_TTL_S);
	return ts_dns_response_finish(&r);
}

static bool is_address_type(uint16_t type)
{
	return type == DNS_TYPE_A || type == DNS_TYPE_AAAA ||
	       type == DNS_TYPE_ANY;
}

static bool is_refused_type(uint16_t type)
{
	return type == DNS_TYPE_NS || type == DNS_TYPE_SOA ||
	       type == DNS_TYPE_AXFR || type == DNS_TYPE_HINFO;
}

static int forward_answer(const struct ts_magic_dns *dns,
			  const struct ts_dns_query *q, const struct target *to)
{
	bool any = q->type == DNS_TYPE_ANY;
	struct ts_dns_result found;

	switch (ts_magic_dns_serve(dns, q->name, any || q->type == DNS_TYPE_A,
				   any || q->type == DNS_TYPE_AAAA, &found)) {
	case TS_DNS_NOT_OURS:
		return FORWARD;
	case TS_DNS_NXDOMAIN:
		return negative_answer(dns, q, DNS_NXDOMAIN, to);
	case TS_DNS_FOUND:
		break;
	}
	if (is_refused_type(q->type))
		return plain_answer(q, DNS_NOTIMP, to);
	if (!is_address_type(q->type))
		return plain_answer(q, DNS_NOERROR, to);
	if (found.count == 0)
		return negative_answer(dns, q, DNS_NOERROR, to);
	return address_answer(q, &found, to);
}

static int reverse_answer(const struct ts_magic_dns *dns,
			  const struct ts_dns_query *q, const struct target *to)
{
	struct ts_dns_response r;
	struct ts_ip ip;
	const char *name;

	if (!ts_dns_parse_reverse(q->name, &ip))
		return FORWARD;
	name = ts_magic_dns_reverse(dns, &ip);
	if (!name && ts_magic_dns_zone(dns, q->name))
		return negative_answer(dns, q, DNS_NXDOMAIN, to);
	if (!name)
		return FORWARD;
	ts_dns_response_init(&r, q, DNS_NOERROR, to->out, to->cap);
	ts_dns_add_ptr(&r, name, POSITIVE_TTL_S);
	return ts_dns_response_finish(&r);
}

static size_t limit_of(const struct ts_dns_query *q, bool udp, size_t out_cap)
{
	size_t limit = udp ? q->udp_size : TCP_MAX;

	if (udp && limit > DNS_EDNS_MAX)
		limit = DNS_EDNS_MAX;
	return limit < out_cap ? limit : out_cap;
}

int ts_magic_dns_answer(const struct ts_magic_dns *dns, const uint8_t *query,
			size_t len, bool udp, uint8_t *out, size_t out_cap)
{
	struct ts_dns_query q;
	struct target to = {out, 0};
	int err = ts_dns_read_query(query, len, &q);

	if (err == -EBADMSG)
		return err;
	to.cap = limit_of(&q, udp, out_cap);
	if (err)
		return plain_answer(&q, DNS_FORMERR, &to);
	if (q.flags & DNS_OPCODE_MASK)
		return plain_answer(&q, DNS_NOTIMP, &to);
	if (q.is_odd || (q.class != DNS_CLASS_IN && q.class != DNS_CLASS_ANY))
		return FORWARD;
	return q.type == DNS_TYPE_PTR ? reverse_answer(dns, &q, &to)
				      : forward_answer(dns, &q, &to);
}
