/* SPDX-License-Identifier: BSD-3-Clause
 * link_proxy.c - HTTP proxies: which one, and the CONNECT exchange
 *
 * The environment is read as Go programs read it (tsnet among them), so that
 * one setting serves both: HTTPS_PROXY for TLS, HTTP_PROXY else, ALL_PROXY
 * when those are unset; NO_PROXY lists "*", hosts, ".domains", addresses,
 * prefixes, each perhaps with a port; this machine is never reached by proxy.
 * In a CGI program (REQUEST_METHOD is set) HTTP_PROXY could be a stranger's
 * "Proxy:" header, so only the lower-case name counts there.
 *
 * Only plain http:// proxies: the tunnel inside is TLS or Noise anyway.
 */
#include "core/io/link_proxy.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/addr.h"
#include "core/base/encode.h"
#include "core/base/environment.h"
#include "core/base/http1.h"
#include "core/crypto/secret.h"

enum { PROXY_PORT_DEFAULT = 80, HTTP_OK = 200, HTTP_AUTH_REQUIRED = 407 };

static const char *lookup_either(char **env, const char *upper,
				 const char *lower)
{
	const char *value = upper ? ts_environment_get(env, upper) : NULL;

	return value ? value : ts_environment_get(env, lower);
}

static const char *proxy_value(char **env, bool is_tls)
{
	bool is_cgi = ts_environment_get(env, "REQUEST_METHOD") != NULL;
	const char *value;

	if (is_tls)
		value = lookup_either(env, "HTTPS_PROXY", "https_proxy");
	else
		value = lookup_either(env, is_cgi ? NULL : "HTTP_PROXY",
				      "http_proxy");
	return value ? value : lookup_either(env, "ALL_PROXY", "all_proxy");
}

/* -- NO_PROXY ------------------------------------------------------------- */

static bool is_this_machine(const char *host)
{
	struct ts_ip ip;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	return ts_ip_parse(host, &ip) == 0 && ts_ip_is_loopback(&ip);
}

/* "name", ".name" and "*.name": the domain below; "name" also itself. */
static bool domain_matches(const char *entry, const char *host)
{
	size_t host_len = strlen(host);
	size_t len;

	if (strncmp(entry, "*.", 2) == 0)
		entry++;
	len = strlen(entry);
	if (entry[0] == '.')
		return host_len > len &&
		       strcasecmp(host + host_len - len, entry) == 0;
	if (strcasecmp(host, entry) == 0)
		return true;
	return host_len > len + 1 && host[host_len - len - 1] == '.' &&
	       strcasecmp(host + host_len - len, entry) == 0;
}

/* Splits "host:port" in place when there is one colon, or "[v6]:port". */
static char *cut_port(char *entry, uint16_t *port)
{
	char *colon = strrchr(entry, ':');
	char *bracket = strchr(entry, ']');
	unsigned long value;
	char *end;

	*port = 0;
	if (entry[0] == '[' && bracket) {
		*bracket = '\0';
		entry++;
		if (bracket[1] != ':')
			return entry;
		colon = bracket + 1;
	} else if (!colon || strchr(entry, ':') != colon) {
		return entry; /* no port, or a bare IPv6 address */
	}
	value = strtoul(colon + 1, &end, 10);
	if (*end == '\0' && value > 0 && value <= UINT16_MAX) {
		*colon = '\0';
		*port = (uint16_t)value;
	}
	return entry;
}

static bool entry_matches(char *entry, const char *host, uint16_t port)
{
	struct ts_prefix prefix;
	struct ts_ip ip;
	uint16_t only_port;

	if (strcmp(entry, "*") == 0)
		return true;
	entry = cut_port(entry, &only_port);
	if (only_port && only_port != port)
		return false;
	if (ts_prefix_parse(entry, &prefix) == 0)
		return ts_ip_parse(host, &ip) == 0 &&
		       ts_prefix_contains(&prefix, &ip);
	return *entry && domain_matches(entry, host);
}

static bool is_exempt(const char *no_proxy, const char *host, uint16_t port)
{
	while (no_proxy && *no_proxy) {
		size_t len;
		char entry[TS_PROXY_HOST_CAP];

		no_proxy += strspn(no_proxy, ", \t");
		len = strcspn(no_proxy, ", \t");
		if (len && len < sizeof(entry)) {
			memcpy(entry, no_proxy, len);
			entry[len] = '\0';
			if (entry_matches(entry, host, port))
				return true;
		}
		no_proxy += len;
	}
	return false;
}

/* -- the proxy's URL ------------------------------------------------------ */

static int decode_userinfo(const char *text, size_t len, char *out, size_t cap)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%' && len - i > 2 && ts_hex_byte(text + i + 1) >= 0) {
			c = (char)ts_hex_byte(text + i + 1);
			i += 2;
		}
		if (used + 1 >= cap)
			return -EINVAL;
		out[used++] = c;
	}
	out[used] = '\0';
	return 0;
}

static int parse_authority(const char *text, size_t len, struct ts_proxy *out)
{
	char copy[TS_PROXY_HOST_CAP];
	char *host;

	if (!len || len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	host = cut_port(copy, &out->port);
	if (!out->port)
		out->port = PROXY_PORT_DEFAULT;
	if (!*host || strpbrk(host, " \t\r\n/"))
		return -EINVAL;
	memcpy(out->host, host, strlen(host) + 1);
	return 0;
}

/* The value may hold a password: err never quotes it. */
static int parse_proxy(const char *value, struct ts_proxy *out,
		       char err[static 128])
{
	const char *scheme_end = strstr(value, "://");
	const char *rest = scheme_end ? scheme_end + 3 : value;
	size_t len = strcspn(rest, "/?#");
	const char *at = memrchr(rest, '@', len);

	memset(out, 0, sizeof(*out));
	if (scheme_end && strncasecmp(value, "http://", 7) != 0) {
		snprintf(err, 128, "proxy: scheme \"%.*s\" is not supported, "
			 "only http", (int)(scheme_end - value < 16
						    ? scheme_end - value
						    : 16), value);
		return -EINVAL;
	}
	if (at && decode_userinfo(rest, (size_t)(at - rest), out->userinfo,
				  sizeof(out->userinfo)))
		goto bad;
	if (at) {
		len -= (size_t)(at + 1 - rest);
		rest = at + 1;
	}
	if (parse_authority(rest, len, out) == 0)
		return 1;
bad:
	ts_wipe(out, sizeof(*out));
	snprintf(err, 128, "proxy: the environment's proxy URL is malformed");
	return -EINVAL;
}

int ts_proxy_choose(char **env, const char *host, uint16_t port, bool is_tls,
		    struct ts_proxy *out, char err[static 128])
{
	const char *value = proxy_value(env, is_tls);

	if (!value || is_this_machine(host) ||
	    is_exempt(lookup_either(env, "NO_PROXY", "no_proxy"), host, port))
		return 0;
	return parse_proxy(value, out, err);
}

/* -- CONNECT -------------------------------------------------------------- */

char *ts_proxy_connect_request(const struct ts_proxy *proxy, const char *host,
			       uint16_t port)
{
	bool is_v6 = strchr(host, ':') != NULL;
	char *auth = NULL;
	char *request = NULL;
	char target[TS_PROXY_HOST_CAP + 16];

	snprintf(target, sizeof(target), is_v6 ? "[%s]:%u" : "%s:%u", host,
		 port);
	if (proxy->userinfo[0]) {
		auth = ts_base64_encode(proxy->userinfo,
					strlen(proxy->userinfo));
		if (!auth)
			return NULL;
	}
	if (asprintf(&request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n",
		     target, target, auth ? "Proxy-Authorization: Basic " : "",
		     auth ? auth : "", auth ? "\r\n" : "") < 0)
		request = NULL;
	ts_wipe_free_text(auth);
	return request;
}

int ts_proxy_read_answer(const void *data, size_t len, char err[static 128])
{
	struct ts_http1_head head;
	int code = ts_http1_read_response(data, len, &head);

	if (code == -EAGAIN)
		return code;
	if (code) {
		snprintf(err, 128, "proxy: it does not answer in HTTP");
		return -EPROTO;
	}
	if (head.status >= HTTP_OK && head.status < HTTP_OK + 100)
		return (int)head.head_len;
	snprintf(err, 128, "proxy: it answers CONNECT with status %d%s",
		 head.status,
		 head.status == HTTP_AUTH_REQUIRED
			 ? " (name and password needed)" : "");
	return -EPROTO;
}
