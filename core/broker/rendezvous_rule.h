/* SPDX-License-Identifier: BSD-3-Clause
 * rendezvous_rule.h - which R a held connect calls, and how it is found again
 *
 * One rule for all who make connects: the shim inside a program, and the host
 * on behalf of programs that cannot be preloaded. Pure functions of the table.
 */
#ifndef CORE_BROKER_RENDEZVOUS_RULE_H
#define CORE_BROKER_RENDEZVOUS_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/broker/address_table.h"

enum { TS_RENDEZVOUS_MAX = 16 }; /* addresses of R for one local port */

/* One of the 127.x.y.z that are ours to use. Leaves 127.0.x.y to people, and
 * .0 and .255 of every /24 alone. */
struct ts_ip ts_loopback_from(uint64_t n);
/* The n-th address of R for a socket with this local address; false: none.
 * *local becomes the address that the kernel will use for a wildcard. */
bool ts_rendezvous_nth(const struct ts_table_info *info, unsigned n,
		       struct ts_addr *local, struct ts_addr *out);
/* The first n from *n on whose flow is free; all in use: the one at *n. */
bool ts_rendezvous_choose(const struct ts_table_layout *table,
			  const struct ts_table_info *info,
			  const struct ts_addr *local, unsigned *n,
			  struct ts_addr *out);
/* A connect that is held or failed has no peer to ask the kernel for: the
 * first flow from local to any R. */
bool ts_rendezvous_find(const struct ts_table_layout *table,
			const struct ts_addr *local, bool must_have_failed,
			struct ts_flow_entry *out);
/* A connect that is under way shows what it will be; one that failed, or whose
 * end is not known yet, what an unconnected socket shows: the port alone. */
struct ts_addr ts_flow_unconnected_name(const struct ts_flow_entry *entry,
					const struct ts_addr *local);

#endif
