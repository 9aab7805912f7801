/* SPDX-License-Identifier: BSD-3-Clause
 * public_dns.c - name servers that are known to serve DNS over HTTPS
 * Source: net/dns/publicdns/publicdns.go
 *
 * A tailnet names its resolvers by address. Those of a known provider are asked
 * by HTTPS at the same addresses, so no name has to be looked up first. NextDNS
 * puts the account into the low bytes of the address, and into the URL as hex;
 * Control D's accounts are only known by their URL.
 */
#include "core/dns/public_dns.h"

#include <stdio.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/err.h"

enum { NEXTDNS_ID_AT = 4, NEXTDNS_ID_MAX = TS_IP_LEN - NEXTDNS_ID_AT };

#define NEXTDNS_URL "https://dns.nextdns.io/"
#define CONTROLD_URL "https://dns.controld.com/"

static const struct provider {
	const char *url;
	const char *ips[TS_DOH_IPS_MAX];
} providers[] = {
	/* Cloudflare: plain, without malware, without adult content */
	{"https://cloudflare-dns.com/dns-query",
	 {"1.1.1.1", "1.0.0.1", "2606:4700:4700::1111",
	  "2606:4700:4700::1001"}},
	{"https://security.cloudflare-dns.com/dns-query",
	 {"1.1.1.2", "1.0.0.2", "2606:4700:4700::1112",
	  "2606:4700:4700::1002"}},
	{"https://family.cloudflare-dns.com/dns-query",
	 {"1.1.1.3", "1.0.0.3", "2606:4700:4700::1113",
	  "2606:4700:4700::1003"}},
	{"https://dns.google/dns-query",
	 {"8.8.8.8", "8.8.4.4", "2001:4860:4860::8888",
	  "2001:4860:4860::8844"}},
	/* Quad9: plain, with client subnets, without DNSSEC */
	{"https://dns.quad9.net/dns-query",
	 {"9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9"}},
	{"https://dns11.quad9.net/dns-query",
	 {"9.9.9.11", "149.112.112.11", "2620:fe::11", "2620:fe::fe:11"}},
	{"https://dns10.quad9.net/dns-query",
	 {"9.9.9.10", "149.112.112.10", "2620:fe::10", "2620:fe::fe:10"}},
	{"https://dns.mullvad.net/dns-query", {"194.242.2.2", "2a07:e340::2"}},
	{"https://adblock.dns.mullvad.net/dns-query",
	 {"194.242.2.3", "2a07:e340::3"}},
	{"https://base.dns.mullvad.net/dns-query",
	 {"194.242.2.4", "2a07:e340::4"}},
	{"https://extended.dns.mullvad.net/dns-query",
	 {"194.242.2.5", "2a07:e340::5"}},
	{"https://family.dns.mullvad.net/dns-query",
	 {"194.242.2.6", "2a07:e340::6"}},
	{"https://all.dns.mullvad.net/dns-query",
	 {"194.242.2.9", "2a07:e340::9"}},
	{"https://wikimedia-dns.org/dns-query",
	 {"185.71.138.138", "2001:67c:930::1"}},
	/* Control D's free ones, by how much they leave out */
	{"https://freedns.controld.com/p0",
	 {"76.76.2.0", "76.76.10.0", "2606:1a40::", "2606:1a40:1::"}},
	{"https://freedns.controld.com/p1",
	 {"76.76.2.1", "76.76.10.1", "2606:1a40::1", "2606:1a40:1::1"}},
	{"https://freedns.controld.com/p2",
	 {"76.76.2.2", "76.76.10.2", "2606:1a40::2", "2606:1a40:1::2"}},
	{"https://freedns.controld.com/p3",
	 {"76.76.2.3", "76.76.10.3", "2606:1a40::3", "2606:1a40:1::3"}},
	{"https://freedns.controld.com/family",
	 {"76.76.2.4", "76.76.10.4", "2606:1a40::4", "2606:1a40:1::4"}},
	/* CIRA: private, without malware, without adult content */
	{"https://private.canadianshield.cira.ca/dns-query",
	 {"149.112.121.10", "149.112.122.10", "2620:10a:80bb::10",
	  "2620:10a:80bc::10"}},
	{"https://protected.canadianshield.cira.ca/dns-query",
	 {"149.112.121.20", "149.112.122.20", "2620:10a:80bb::20",
	  "2620:10a:80bc::20"}},
	{"https://family.canadianshield.cira.ca/dns-query",
	 {"149.112.121.30", "149.112.122.30", "2620:10a:80bb::30",
	  "2620:10a:80bc::30"}},
};

static const char *const nextdns_prefixes[] = {"2a07:a8c0::/33",
					       "2a07:a8c1::/33"};
static const char *const nextdns_v4[] = {"45.90.28.0", "45.90.30.0"};
static const char *const controld_ips[] = {"76.76.2.22", "76.76.10.22",
					   "2606:1a40::22", "2606:1a40:1::22"};

static struct ts_ip ip_of(const char *text)
{
	struct ts_ip ip = TS_IP_ZERO;

	(void)ts_ip_parse(text, &ip);
	return ip;
}

static size_t ips_of(const struct provider *p,
		     struct ts_ip out[static TS_DOH_IPS_MAX])
{
	size_t n = 0;

	while (n < TS_DOH_IPS_MAX && p->ips[n]) {
		out[n] = ip_of(p->ips[n]);
		n++;
	}
	return n;
}

/* -- NextDNS -------------------------------------------------------------- */

static bool is_nextdns(const struct ts_ip *ip)
{
	struct ts_prefix prefix;

	for (size_t i = 0; i < 2; i++)
		if (ts_prefix_parse(nextdns_prefixes[i], &prefix) == 0 &&
		    ts_prefix_contains(&prefix, ip))
			return true;
	return false;
}

static void write_nextdns_url(const struct ts_ip *ip,
			      char url[static TS_DOH_URL_CAP])
{
	size_t at = NEXTDNS_ID_AT;
	int len = snprintf(url, TS_DOH_URL_CAP, NEXTDNS_URL);

	while (at < TS_IP_LEN && ip->bytes[at] == 0)
		at++;
	for (; at < TS_IP_LEN; at++)
		len += snprintf(url + len, TS_DOH_URL_CAP - (size_t)len,
				"%02x", ip->bytes[at]);
}

/* Two digits a byte, into the low bytes; false: no account. */
static bool read_nextdns_id(const char *text, size_t len, struct ts_ip *ip)
{
	if (len == 0 || len % 2 || len / 2 > NEXTDNS_ID_MAX)
		return false;
	return ts_hex_decode(text, len, ip->bytes + TS_IP_LEN - len / 2,
			     len / 2) == 0;
}

/* The rest of the path names the device, for NextDNS's own books. */
static size_t nextdns_ips(const char *path,
			  struct ts_ip out[static TS_DOH_IPS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		out[n++] = ip_of(nextdns_v4[i]);
	for (size_t i = 0; i < 2; i++) {
		struct ts_prefix prefix;

		(void)ts_prefix_parse(nextdns_prefixes[i], &prefix);
		out[n] = prefix.ip;
		if (!read_nextdns_id(path, strcspn(path, "/?"), &out[n++]))
			return 0;
	}
	return n;
}

/* -- all ------------------------------------------------------------------ */

bool ts_public_dns_url(const struct ts_ip *ip, char url[static TS_DOH_URL_CAP],
		       bool *only)
{
	struct ts_ip ips[TS_DOH_IPS_MAX];

	*only = false;
	for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
		size_t n = ips_of(&providers[i], ips);

		for (size_t j = 0; j < n; j++) {
			if (!ts_ip_equal(&ips[j], ip))
				continue;
			snprintf(url, TS_DOH_URL_CAP, "%s", providers[i].url);
			return true;
		}
	}
	if (!is_nextdns(ip))
		return false;
	*only = true;
	write_nextdns_url(ip, url);
	return true;
}

size_t ts_public_dns_ips(const char *url,
			 struct ts_ip out[static TS_DOH_IPS_MAX])
{
	const size_t nextdns_len = strlen(NEXTDNS_URL);

	for (size_t i = 0; i < ARRAY_LEN(providers); i++)
		if (strcmp(providers[i].url, url) == 0)
			return ips_of(&providers[i], out);
	if (strncmp(url, NEXTDNS_URL, nextdns_len) == 0)
		return nextdns_ips(url + nextdns_len, out);
	if (strncmp(url, CONTROLD_URL, strlen(CONTROLD_URL)) != 0)
		return 0;
	for (size_t i = 0; i < TS_DOH_IPS_MAX; i++)
		out[i] = ip_of(controld_ips[i]);
	return TS_DOH_IPS_MAX;
}
