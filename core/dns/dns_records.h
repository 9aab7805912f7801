/* SPDX-License-Identifier: BSD-3-Clause
 * dns_records.h - the records of somebody else's answer
 *
 * Source: RFC 1035 section 4.1.3
 */
#ifndef CORE_DNS_DNS_RECORDS_H
#define CORE_DNS_DNS_RECORDS_H

#include "core/dns/dns_wire.h"

enum ts_dns_section { DNS_ANSWERS, DNS_AUTHORITIES, DNS_ADDITIONALS };

/* Places are offsets in the message. */
struct ts_dns_rr {
	enum ts_dns_section section;
	char name[DNS_TEXT_CAP]; /* as ts_dns_query has it */
	bool is_odd;
	uint16_t type, class;
	uint32_t ttl_s;
	size_t ttl_at, data_at, data_len;
};

struct ts_dns_walk {
	const uint8_t *msg;
	size_t len, pos;
	uint16_t flags;
	uint16_t left[DNS_ADDITIONALS + 1];
};

/* 0 or -EBADMSG. msg stays the caller's. */
int ts_dns_walk_init(struct ts_dns_walk *walk, const uint8_t *msg, size_t len);
/* 1: *out has the next record; 0: that was all; -EBADMSG. */
int ts_dns_walk_next(struct ts_dns_walk *walk, struct ts_dns_rr *out);

enum { DNS_CHAIN_MAX = 10 }; /* CNAMEs that lead to another */

struct ts_dns_found {
	struct ts_ip *ips;
	size_t count, cap;
	/* What the last CNAME names; the name itself if there is none. */
	char canonical[DNS_TEXT_CAP];
};
/* The addresses of type (A or AAAA) that the message, an answer, has for name,
 * by way of its CNAMEs, behind those that are in out already. 0, -EBADMSG, or
 * -ELOOP when the chain has no end. */
int ts_dns_find_addresses(const uint8_t *msg, size_t len, const char *name,
			  uint16_t type, struct ts_dns_found *out);
/* The name of its first PTR record for name, CNAMEs followed; false: none. */
bool ts_dns_find_ptr(const uint8_t *msg, size_t len, const char *name,
		     char out[static DNS_TEXT_CAP]);

#endif
