/* SPDX-License-Identifier: BSD-3-Clause
 * http_way.c - where a URL's request goes: the host itself or a proxy
 */
#include "core/base/environment.h"
#include "core/io/http_way.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESOLVE_TEXT_CAP = 1024 };

/* The URL's host and port, brackets off. */
static int split_url(const char *url, struct ts_http_way *out, bool *is_tls)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *name = NULL, *number = NULL;
	int err = -EINVAL;

	if (u && !curl_url_set(u, CURLUPART_URL, url, 0) &&
	    !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
	    !curl_url_get(u, CURLUPART_HOST, &name, 0) &&
	    !curl_url_get(u, CURLUPART_PORT, &number, CURLU_DEFAULT_PORT) &&
	    (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0) &&
	    strlen(name) < sizeof(out->host)) {
		size_t len = strlen(name);
		bool is_v6 = name[0] == '[' && len > 2;

		snprintf(out->host, sizeof(out->host), "%.*s",
			 (int)(is_v6 ? len - 2 : len), name + is_v6);
		out->port = (unsigned)strtoul(number, NULL, 10);
		*is_tls = strcmp(scheme, "https") == 0;
		err = 0;
	}
	curl_free(scheme);
	curl_free(name);
	curl_free(number);
	curl_url_cleanup(u);
	return err;
}

int ts_http_way_choose(const char *url, bool is_near, struct ts_http_way *out,
		       char err[static 128])
{
	bool is_tls = false;
	int proxied = 0;

	memset(out, 0, sizeof(*out));
	if (split_url(url, out, &is_tls)) {
		snprintf(err, 128, "not an http or https URL");
		return -EINVAL;
	}
	if (!is_near)
		proxied = ts_proxy_choose(ts_environment(), out->host,
					  (uint16_t)out->port, is_tls,
					  &out->proxy, err);
	if (proxied < 0)
		return proxied;
	out->has_proxy = proxied;
	if (proxied) {
		memcpy(out->host, out->proxy.host, sizeof(out->host));
		out->port = out->proxy.port;
	}
	return 0;
}

struct curl_slist *ts_http_way_resolved(const struct ts_http_way *way,
					const struct ts_ip *ips, size_t count)
{
	char text[RESOLVE_TEXT_CAP];
	char ip[TS_IP_TEXT_CAP];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s:%u:", way->host,
				      way->port);

	for (size_t i = 0; i < count; i++) {
		bool is_v4 = ts_ip_is_v4(&ips[i]);

		if (sizeof(text) - len < TS_IP_TEXT_CAP + 4)
			break;
		ts_ip_format(&ips[i], ip);
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					is_v4 ? "%s%s" : "%s[%s]",
					i ? "," : "", ip);
	}
	return curl_slist_append(NULL, text);
}

char *ts_http_way_proxy_url(const struct ts_http_way *way)
{
	bool is_v6 = strchr(way->proxy.host, ':') != NULL;
	char *url = NULL;

	if (!way->has_proxy)
		return strdup("");
	if (asprintf(&url, is_v6 ? "http://[%s]:%u" : "http://%s:%u",
		     way->proxy.host, way->proxy.port) < 0)
		return NULL;
	return url;
}
