/* SPDX-License-Identifier: BSD-3-Clause
 * http_way.h - where a URL's request goes: the host itself or a proxy
 */
#ifndef CORE_IO_HTTP_WAY_H
#define CORE_IO_HTTP_WAY_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"
#include "core/io/link_proxy.h"

struct ts_http_way {
	char host[TS_PROXY_HOST_CAP]; /* to resolve: the host's or proxy's */
	unsigned port;
	bool has_proxy;
	struct ts_proxy proxy;
};

/* By the URL and the environment, or the URL alone (is_near). 0, or -EINVAL
 * with the reason in err; host and port are set as far as they are known. The
 * caller wipes *out. */
int ts_http_way_choose(const char *url, bool is_near, struct ts_http_way *out,
		       char err[static 128]);
/* "host:port:address,address", for CURLOPT_RESOLVE; the caller frees. */
struct curl_slist *ts_http_way_resolved(const struct ts_http_way *way,
					const struct ts_ip *ips, size_t count);
/* For CURLOPT_PROXY: "" for none. Heap. */
char *ts_http_way_proxy_url(const struct ts_http_way *way);

#endif
