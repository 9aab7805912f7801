/* SPDX-License-Identifier: BSD-3-Clause
 * stand_ins.h - addresses of ours for those that two tailnets have
 */
#ifndef CORE_HOST_STAND_INS_H
#define CORE_HOST_STAND_INS_H

#include "core/host/host_internal.h"

/* Of a range that is ours alone. */
struct ts_stand_in {
	struct ts_link link; /* by last use */
	struct ts_ip ip;     /* as programs have it */
	struct ts_member *member;
	struct ts_ip real;             /* in that member's tailnet */
	unsigned users;                /* flows: it is kept for them */
	bool is_over; /* nobody finds it any more; the last user frees it */
	char name[TS_BROKER_NAME_CAP]; /* that was asked for */
};

int ts_stand_ins_open(struct ts_host *host,
		      const struct ts_host_config *config);
/* After the flows. */
void ts_stand_ins_close(struct ts_host *host);
/* Both ranges. */
void ts_stand_ins_fill(const struct ts_host *host, struct ts_prefix out[2]);
/* The node is replaced: what its addresses meant is over. */
void ts_stand_ins_leave_node(const struct ts_member *member);
/* Does a range of ours have this address? */
bool ts_stand_ins_cover(const struct ts_host *host, const struct ts_ip *ip);
/* NULL: there is none of that address. */
struct ts_stand_in *ts_stand_in_find(struct ts_host *host,
				     const struct ts_ip *ip);
/* A flow has it from now on; NULL is fine. */
struct ts_stand_in *ts_stand_in_get(struct ts_stand_in *s);
void ts_stand_in_put(struct ts_stand_in *s); /* NULL is fine */

/* member's answer for name has this address: what a program is told in its
 * place, if need be. false: there is no room. */
bool ts_stand_in_tell(struct ts_member *member, const char *name,
		      struct ts_ip *ip);
/* The same for all addresses of a DNS message. */
bool ts_stand_ins_tell_message(struct ts_member *member, const char *name,
			       uint8_t *msg, size_t len);

#endif
