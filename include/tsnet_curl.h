/* SPDX-License-Identifier: BSD-3-Clause
 * tsnet_curl.h - requests of libcurl over a tailnet
 *
 *	CURL *easy = curl_easy_init();
 *	curl_easy_setopt(easy, CURLOPT_URL, "http://wiki/");
 *	if (tsnet_curl_setup(ts, easy) == 0)
 *		code = curl_easy_perform(easy);
 *
 * As tsnet's HTTPClient: names and addresses of the tailnet are the node's to
 * find, all others are reached by the host's network. The handle goes by the
 * server's loopback port (tsnet_loopback()), so that everything that libcurl
 * does works as ever: several connections, redirects, TLS, HTTP/2, the multi
 * interface. It is of no use after tsnet_close().
 *
 * Link with `pkg-config --cflags --libs tsnet libcurl`.
 */
#ifndef TSNET_CURL_H
#define TSNET_CURL_H

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tsnet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Starts the server if need be; requests wait for the node. 0, -EINVAL (no
 * handle), -ENOMEM, or what tsnet_loopback() returns. */
static inline int tsnet_curl_setup(struct tsnet *ts, CURL *easy)
{
	char addr[TSNET_ADDR_CAP], url[TSNET_ADDR_CAP + 16];
	char proxy_cred[TSNET_CRED_CAP], local_cred[TSNET_CRED_CAP];
	int code = -EINVAL;

	if (easy)
		code = tsnet_loopback(ts, addr, sizeof(addr), proxy_cred,
				      local_cred);
	if (code)
		return code;
	snprintf(url, sizeof(url), "socks5h://%s", addr);
	/* An empty list of exceptions: the environment's is not meant. */
	if (curl_easy_setopt(easy, CURLOPT_PROXY, url) ||
	    curl_easy_setopt(easy, CURLOPT_NOPROXY, "") ||
	    curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, "tsnet") ||
	    curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, proxy_cred))
		code = -ENOMEM;
	memset(proxy_cred, 0, sizeof(proxy_cred));
	memset(local_cred, 0, sizeof(local_cred));
	return code;
}

#ifdef __cplusplus
}
#endif
#endif
