/* SPDX-License-Identifier: BSD-3-Clause
 * name_ask.h - names and addresses by the node, in h_errno's terms
 */
#ifndef SHIM_NAME_ASK_H
#define SHIM_NAME_ASK_H

#include "shim/shim.h"

/* musl's netdb.h knows neither; programs of glibc do. */
#ifndef NETDB_INTERNAL
#define NETDB_INTERNAL (-1)
#define NETDB_SUCCESS 0
#endif

enum shim_name_answer {
	SHIM_ANSWER_FOUND,
	SHIM_ANSWER_NOT_OURS, /* ask libc */
	SHIM_ANSWER_NO_NAME,
	SHIM_ANSWER_NO_ADDRESS, /* not of the families asked for */
	SHIM_ANSWER_TRY_AGAIN,	/* no host, or it does not know yet */
};

struct shim_addresses {
	size_t count;
	struct ts_ip ips[TS_BROKER_ADDRS_MAX];
	char canonical[TS_BROKER_NAME_CAP];
};

/* want: TS_BROKER_WANT_V4, _V6 or both. */
enum shim_name_answer shim_resolve(const char *name, uint8_t want,
				   struct shim_addresses *out);
enum shim_name_answer shim_reverse(const struct ts_ip *ip,
				   char out[static TS_BROKER_NAME_CAP]);
/* A DNS query. FOUND: *answer_len bytes, of which those that fit are in
 * answer; what they say is the asker's to read. */
enum shim_name_answer shim_query(const uint8_t *query, size_t len,
				 void *answer, size_t cap, size_t *answer_len);
/* Would shim_reverse be asked, without starting a node for it? */
bool shim_reverse_claims(const struct ts_ip *ip);

/* -- hook_names.c --------------------------------------------------------- */
/* getaddrinfo by the node alone: an EAI_ code or 0; *is_ours false: libc must
 * say, and has not been asked. */
int shim_getaddrinfo(const char *host, const char *service,
		     const struct addrinfo *hints, struct addrinfo **out,
		     bool *is_ours);

#endif
