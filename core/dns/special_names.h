/* SPDX-License-Identifier: BSD-3-Clause
 * special_names.h - names whose answer is computed from the name itself
 *
 * Names here are lower case, without trailing dot.
 */
#ifndef CORE_DNS_SPECIAL_NAMES_H
#define CORE_DNS_SPECIAL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"

/* Lower case without trailing dot into out[TS_DNS_NAME_CAP]; false when it is
 * not a name that DNS can carry as text. */
bool ts_dns_normalize(const char *name, char *out);
/* name is suffix or below it. */
bool ts_dns_is_under(const char *name, const char *suffix);
/* Nobody but a tailnet can know it: one label, ts.net, the addresses. */
bool ts_dns_is_tailnet_name(const char *name);
/* The name without its first label; "" at the end. */
const char *ts_dns_parent(const char *name);
/* "10-1-1-2-via-7[.x.ts.net]" -> the 4via6 address. */
bool ts_dns_parse_via(const char *name, struct ts_ip *out);
/* "4.3.2.1.in-addr.arpa" or 32 nibbles under ip6.arpa. */
bool ts_dns_parse_reverse(const char *name, struct ts_ip *out);
/* The other way: the name under which an address has its PTR record. */
enum { TS_DNS_REVERSE_CAP = 73 };
void ts_dns_format_reverse(const struct ts_ip *ip,
			   char out[static TS_DNS_REVERSE_CAP]);
/* The IPv4 address that a derived Tailscale IPv6 address carries. */
bool ts_dns_v4_of_v6(const struct ts_ip *v6, struct ts_ip *out);

#endif
