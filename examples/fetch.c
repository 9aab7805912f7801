/* SPDX-License-Identifier: BSD-3-Clause
 * fetch.c - get a page over a tailnet by libcurl
 *
 *	cc fetch.c $(pkg-config --cflags --libs tsnet libcurl) -o fetch
 *	TS_AUTHKEY=tskey-auth-... ./fetch http://wiki/
 */
#include <stdio.h>

#include "tsnet_curl.h"

/* 0 or a process's status. */
static int fetch(struct tsnet *ts, const char *url)
{
	CURL *easy = curl_easy_init();
	CURLcode code = CURLE_FAILED_INIT;

	if (easy && tsnet_curl_setup(ts, easy) == 0) {
		curl_easy_setopt(easy, CURLOPT_URL, url);
		curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
		code = curl_easy_perform(easy); /* the page goes to stdout */
	}
	if (code != CURLE_OK)
		fprintf(stderr, "fetch: %s %s\n", curl_easy_strerror(code),
			tsnet_errmsg(ts));
	curl_easy_cleanup(easy);
	return code != CURLE_OK;
}

int main(int argc, char **argv)
{
	struct tsnet *ts = tsnet_new();
	int status = 1;

	if (!ts || argc != 2)
		return 64;
	if (tsnet_set(ts, "hostname", "fetch") == 0 && tsnet_up(ts, 60) == 0)
		status = fetch(ts, argv[1]);
	else
		fprintf(stderr, "fetch: %s\n", tsnet_errmsg(ts));
	tsnet_close(ts);
	return status;
}
