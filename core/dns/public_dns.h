/* SPDX-License-Identifier: BSD-3-Clause
 * public_dns.h - name servers that are known to serve DNS over HTTPS
 *
 * Source: net/dns/publicdns/publicdns.go
 */
#ifndef CORE_DNS_PUBLIC_DNS_H
#define CORE_DNS_PUBLIC_DNS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"

enum { TS_DOH_URL_CAP = 256, TS_DOH_IPS_MAX = 4 };

/* The URL of the server with this address; *only: it serves nothing else. */
bool ts_public_dns_url(const struct ts_ip *ip, char url[static TS_DOH_URL_CAP],
		       bool *only);
/* Where the server of a URL is found; 0: not known. */
size_t ts_public_dns_ips(const char *url, struct ts_ip out[static TS_DOH_IPS_MAX]);

#endif
