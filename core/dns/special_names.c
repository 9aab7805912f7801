/* SPDX-License-Identifier: BSD-3-Clause
 * special_names.c - names whose answer is computed from the name itself
 *
 * Source: net/dns/resolver/tsdns.go (4via6 and reverse names),
 * net/tsaddr/tsaddr.go (address layouts)
 */
#include "core/dns/special_names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/dns/magic_dns.h"

enum { V4_TEXT_MAX = 15, LABEL_MAX = 63, NAME_TEXT_MAX = 253, NIBBLES = 32 };

/* fd7a:115c:a1e0:ab12:4843:cd96:6200::/104, then the low 24 bits of the IPv4 */
static const uint8_t derived_prefix[13] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1,
					   0xe0, 0xab, 0x12, 0x48, 0x43,
					   0xcd, 0x96, 0x62};

static bool label_lengths_fit(const char *name)
{
	for (const char *at = name; *at;) {
		size_t len = strcspn(at, ".");

		if (len == 0 || len > LABEL_MAX)
			return false;
		at += len;
		if (*at == '.' && *++at == '\0')
			return false;
	}
	return true;
}

bool ts_dns_normalize(const char *name, char *out)
{
	size_t len = strlen(name);

	if (len && name[len - 1] == '.')
		len--;
	if (len == 0 || len > NAME_TEXT_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c <= ' ' || c >= 0x7f || c == '\\')
			return false;
		out[i] = (char)tolower(c);
	}
	out[len] = '\0';
	return label_lengths_fit(out);
}

bool ts_dns_is_under(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	if (s == 0 || n < s || strcmp(name + (n - s), suffix) != 0)
		return false;
	return n == s || name[n - s - 1] == '.';
}

const char *ts_dns_parent(const char *name)
{
	name += strcspn(name, ".");
	return *name == '.' ? name + 1 : name;
}

/* "a-b-c-d" before "-via-" */
static bool read_dashed_v4(const char *text, size_t len, struct ts_ip *out)
{
	char dotted[V4_TEXT_MAX + 1];

	if (len == 0 || len > V4_TEXT_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		dotted[i] = text[i] == '-' ? '.' : text[i];
	dotted[len] = '\0';
	return ts_ip_parse(dotted, out) == 0 && ts_ip_is_v4(out);
}

/* Go's strconv.ParseUint with base 0: decimal, 0x, 0o, 0b or octal. */
static bool read_site(const char *text, size_t len, uint32_t *out)
{
	char copy[LABEL_MAX + 1], *end;
	const char *digits = copy;
	unsigned long long v;
	int base = 10;

	if (len == 0 || len > LABEL_MAX)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (copy[0] == '0' && len > 1) {
		base = copy[1] == 'x' ? 16 : copy[1] == 'b' ? 2 : 8;
		digits += isdigit((unsigned char)copy[1]) ? 1 : 2;
		if (digits == copy + 2 && !strchr("xob", copy[1]))
			return false;
	}
	if (!isxdigit((unsigned char)*digits))
		return false;
	errno = 0;
	v = strtoull(digits, &end, base);
	if (errno || *end || v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

bool ts_dns_parse_via(const char *name, struct ts_ip *out)
{
	size_t label_len = strcspn(name, ".");
	const char *via = strstr(name, "-via-");
	const char *domain = ts_dns_parent(name), *site;
	struct ts_writer w = ts_writer_init(out->bytes, TS_IP_LEN);
	struct ts_ip v4;
	uint32_t site_id;

	if (!via || via >= name + label_len)
		return false;
	if (*domain && !ts_dns_is_under(domain, "ts.net") &&
	    !ts_dns_is_under(domain, "tailscale.net"))
		return false;
	site = via + strlen("-via-");
	if (site > name + label_len ||
	    !read_dashed_v4(name, (size_t)(via - name), &v4) ||
	    !read_site(site, (size_t)(name + label_len - site), &site_id))
		return false;
	ts_write_bytes(&w, TS_VIA_RANGE.ip.bytes, TS_VIA_RANGE.bits / 8);
	ts_write_be32(&w, site_id);
	ts_write_be32(&w, ts_ip_v4_host(&v4));
	return true;
}

static bool parse_reverse_v4(const char *name, size_t len, struct ts_ip *out)
{
	char forward[V4_TEXT_MAX + 1] = "";
	size_t at = 0;

	if (len == 0 || len > V4_TEXT_MAX)
		return false;
	/* labels from the last to the first */
	for (size_t end = len; end > 0;) {
		size_t start = end;

		while (start > 0 && name[start - 1] != '.')
			start--;
		memcpy(forward + at, name + start, end - start);
		at += end - start;
		if (start == 0)
			break;
		forward[at++] = '.';
		end = start - 1;
	}
	forward[at] = '\0';
	return ts_ip_parse(forward, out) == 0 && ts_ip_is_v4(out);
}

static bool parse_reverse_v6(const char *name, size_t len, struct ts_ip *out)
{
	if (len != NIBBLES * 2 - 1)
		return false;
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < NIBBLES; i++) {
		char c = name[i * 2];
		size_t from_top = NIBBLES - 1 - i;
		uint8_t v;

		if (!isxdigit((unsigned char)c) ||
		    (i + 1 < NIBBLES && name[i * 2 + 1] != '.'))
			return false;
		v = (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
		out->bytes[from_top / 2] |=
			(uint8_t)(from_top % 2 ? v : v << 4);
	}
	return !ts_ip_is_v4(out);
}

bool ts_dns_parse_reverse(const char *name, struct ts_ip *out)
{
	static const char v4[] = ".in-addr.arpa", v6[] = ".ip6.arpa";
	size_t len = strlen(name);

	if (ts_dns_is_under(name, v4 + 1) && len > sizeof(v4) - 1)
		return parse_reverse_v4(name, len - (sizeof(v4) - 1), out);
	if (ts_dns_is_under(name, v6 + 1) && len > sizeof(v6) - 1)
		return parse_reverse_v6(name, len - (sizeof(v6) - 1), out);
	return false;
}

void ts_dns_format_reverse(const struct ts_ip *ip,
			   char out[static TS_DNS_REVERSE_CAP])
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = ip->bytes + TS_IP_V4_AT;
	size_t at = 0;

	if (ts_ip_is_v4(ip)) {
		snprintf(out, TS_DNS_REVERSE_CAP, "%u.%u.%u.%u.in-addr.arpa",
			 b[3], b[2], b[1], b[0]);
		return;
	}
	for (size_t i = TS_IP_LEN; i-- > 0;) {
		out[at++] = digits[ip->bytes[i] & 0x0f];
		out[at++] = '.';
		out[at++] = digits[ip->bytes[i] >> 4];
		out[at++] = '.';
	}
	strcpy(out + at, "ip6.arpa");
}

bool ts_dns_v4_of_v6(const struct ts_ip *v6, struct ts_ip *out)
{
	const uint8_t *b = v6->bytes;

	if (memcmp(b, derived_prefix, sizeof(derived_prefix)) != 0)
		return false;
	*out = ts_ip_from_v4((const uint8_t[]){100, b[13], b[14], b[15]});
	return true;
}

bool ts_dns_is_tailnet_name(const char *name)
{
	struct ts_ip ip;

	return !strchr(name, '.') || ts_dns_is_under(name, "ts.net") ||
	       (ts_dns_parse_reverse(name, &ip) && ts_ip_is_tailscale(&ip));
}
