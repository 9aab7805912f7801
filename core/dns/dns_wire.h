/* SPDX-License-Identifier: BSD-3-Clause
 * dns_wire.h - DNS messages: bytes <-> structs
 *
 * Source: RFC 1035 section 4, RFC 6891 (EDNS), RFC 2181 section 10
 */
#ifndef CORE_DNS_DNS_WIRE_H
#define CORE_DNS_DNS_WIRE_H

#include "core/base/addr.h"
#include "core/base/wire.h"

enum {
	DNS_HEADER_LEN = 12,
	DNS_NAME_MAX = 255,	 /* wire form, with lengths and root */
	DNS_LABEL_MAX = 63,
	DNS_TEXT_CAP = 256,	 /* text form, with NUL */
	DNS_UDP_MAX = 512,	 /* without EDNS */
	DNS_EDNS_MAX = 4095,	 /* the most we send by UDP */
	DNS_MESSAGE_MAX = 65535,
	/* A query without records; name in its longest form. */
	DNS_PLAIN_QUERY_CAP = DNS_HEADER_LEN + DNS_NAME_MAX + 4,
};

enum ts_dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_HINFO = 13,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_TKEY = 249, /* from here on: no records, but requests */
	DNS_TYPE_AXFR = 252,
	DNS_TYPE_ANY = 255,
};

enum { DNS_CLASS_IN = 1, DNS_CLASS_ANY = 255 };

enum ts_dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

enum {
	DNS_FLAG_RESPONSE = 0x8000,
	DNS_OPCODE_MASK = 0x7800,
	DNS_FLAG_AUTHORITATIVE = 0x0400,
	DNS_FLAG_TRUNCATED = 0x0200,
	DNS_FLAG_RECURSION_DESIRED = 0x0100,
	DNS_FLAG_RECURSION_AVAILABLE = 0x0080,
	DNS_FLAG_CHECKING_DISABLED = 0x0010,
	DNS_RCODE_MASK = 0x000f,
};

/* A query with its one question. */
struct ts_dns_query {
	uint16_t id, flags;
	bool has_question;
	/* Lower case, without trailing dot; "" is the root. A name with bytes
	 * that text cannot show (dots in labels, controls) has is_odd set and
	 * equals none of ours. */
	char name[DNS_TEXT_CAP];
	bool is_odd;
	uint16_t type, class;
	uint8_t question[DNS_NAME_MAX + 4]; /* as it came, to be echoed */
	size_t question_len;
	bool has_edns;
	uint16_t udp_size; /* what the asker takes; 512 without EDNS */
	uint16_t edns_flags;
	size_t udp_size_at; /* in the message; 0: no EDNS */
	/* Records beside EDNS, or options of it that the answer may depend on:
	 * it is meant for this asker alone. */
	bool has_more;
};

/* 0; -EBADMSG for what cannot be answered at all (no header, a response);
 * -EPROTO for what deserves a FORMERR: id, flags and, if has_question, the
 * question are set. */
int ts_dns_read_query(const uint8_t *msg, size_t len, struct ts_dns_query *out);
/* A possibly compressed name that starts at *pos; *pos moves behind it.
 * Pointers may only go backwards. 0 or -EBADMSG. */
int ts_dns_read_name(const uint8_t *msg, size_t len, size_t *pos,
		     char text[static DNS_TEXT_CAP], bool *is_odd);

/* A query that asks for recursion, with class IN and without EDNS; name: text,
 * with or without trailing dot. The length, or -EBADMSG: no such name. */
int ts_dns_write_query(uint16_t id, const char *name, uint16_t type,
		       uint8_t *out, size_t cap);
/* An answer of len bytes that is longer than its asker takes: only header and
 * question are left, with TC set, and the new length is returned. */
size_t ts_dns_cut_off(uint8_t *answer, size_t len);

enum ts_dns_verdict {
	DNS_ANSWER_FOREIGN, /* to another query, or forged */
	DNS_ANSWER_GOOD,
	DNS_ANSWER_CUT_OFF, /* TC: the rest by TCP */
	DNS_ANSWER_EXCUSE,  /* this server cannot or will not */
};
/* What msg is to the sender of query, a valid one: its ID and its question, of
 * question_len bytes behind the header, must come back. */
enum ts_dns_verdict ts_dns_judge(const uint8_t *query, size_t question_len,
				 const uint8_t *msg, size_t len);

/* A response in the making. Counts are patched in by finish. */
struct ts_dns_response {
	uint8_t *start;
	size_t cap; /* without the room for OPT */
	struct ts_writer w;
	const struct ts_dns_query *query;
	uint16_t answers, authorities;
	enum ts_dns_rcode rcode;
};

void ts_dns_response_init(struct ts_dns_response *r,
			  const struct ts_dns_query *query,
			  enum ts_dns_rcode rcode, uint8_t *out, size_t cap);
/* Records; all names are text without trailing dot. A and AAAA and PTR are for
 * the question's name. */
void ts_dns_add_ip(struct ts_dns_response *r, const struct ts_ip *ip,
		   uint32_t ttl_s);
void ts_dns_add_ptr(struct ts_dns_response *r, const char *name,
		    uint32_t ttl_s);
void ts_dns_add_soa(struct ts_dns_response *r, const char *zone,
		    uint32_t ttl_s);
/* The length; when it did not fit, a response with only the question and TC
 * set; -ENOBUFS when not even that fits. */
int ts_dns_response_finish(struct ts_dns_response *r);

#endif
