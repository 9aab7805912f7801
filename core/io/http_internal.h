/* SPDX-License-Identifier: BSD-3-Clause
 * http_internal.h - the client's and a request's state, for the client's files
 *
 *   http_client.c   requests, from their start to their answer
 *   http_multi.c    libcurl's sockets and timer on the loop
 *   http_options.c  what libcurl is told about a request
 *   http_tunnel.c   connections that somebody else makes
 */
#ifndef CORE_IO_HTTP_INTERNAL_H
#define CORE_IO_HTTP_INTERNAL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "core/base/byte_queue.h"
#include "core/io/http_client.h"
#include "core/io/http_way.h"
#include "core/io/resolver.h"

enum { HTTP_TARGET_CAP = 280, HTTP_HINT_CAP = 128 };

#define HTTP_DNS_TYPE "application/dns-message"

struct ts_http_watch; /* http_multi.c */

struct ts_http_request {
	struct ts_http_request *next;
	struct ts_http_client *client;
	struct ts_timer *timer; /* time limit, or deliver what is ready */
	struct ts_resolve *lookup;
	CURL *easy;
	bool is_added; /* easy is in the multi handle */
	bool is_ready; /* error or status tells; the timer delivers */
	char *url;
	bool is_near; /* the own network: no proxy, no redirect */
	bool stays;   /* no redirect */
	bool is_dns;  /* DNS over HTTPS */
	bool is_inside; /* the tunnel, as far as is known: no proxy */
	char *method; /* NULL: GET, or POST when there is a post */
	char *post;   /* NULL: no body */
	size_t post_len;  /* is_dns: of it; else it is text */
	struct ts_ip *at; /* where the host is; NULL: it is looked up */
	size_t at_count;
	struct curl_slist *headers;
	char *want_fields[TS_HTTP_WANT_MAX]; /* of the answer, or NULL */
	char *ca_pem;	  /* the only roots to believe; NULL: the usual */
	char fields[TS_HTTP_WANT_MAX][TS_HTTP_FIELD_CAP];
	struct curl_slist *resolved;
	struct ts_http_way way;
	unsigned redirects;
	unsigned timeout_ms;
	uint64_t end_ms;
	struct ts_byte_queue body;
	size_t body_max;
	bool is_too_long;
	int status;
	char error[CURL_ERROR_SIZE + HTTP_TARGET_CAP + HTTP_HINT_CAP];
	char curl_error[CURL_ERROR_SIZE];
	ts_http_fn fn;
	ts_http_reply_fn reply_fn; /* instead of fn */
	void *ctx;
};

struct ts_http_client {
	struct ts_loop *loop;
	struct ts_resolver *resolver;
	CURLM *multi;
	struct ts_timer *timer;
	struct ts_http_watch *watches;
	struct ts_http_request *requests;
	const struct ts_http_tunnel *tunnel; /* or NULL */
	void *tunnel_ctx;
	struct ts_http_line *lines; /* connections for DNS queries */
};

/* -- http_client.c -------------------------------------------------------- */
/* libcurl is done with it, and off the multi handle. */
void ts_http_request_done(struct ts_http_request *rq, CURLcode code);

/* -- http_multi.c --------------------------------------------------------- */
/* The multi handle and its timer; false: out of memory. */
bool ts_http_multi_open(struct ts_http_client *client);
void ts_http_multi_close(struct ts_http_client *client);

/* -- http_options.c ------------------------------------------------------- */
/* Make the easy handle of a request whose way is known, and start it. */
bool ts_http_start_transfer(struct ts_http_request *rq);
/* Make it a POST of a DNS query. */
bool ts_http_set_dns(struct ts_http_request *rq, const uint8_t *query,
		     size_t len);
/* Its method, fields and body. */
bool ts_http_set_call(struct ts_http_request *rq,
		      const struct ts_http_call *call);
/* Make it a POST of body. */
bool ts_http_set_soap(struct ts_http_request *rq, const char *action,
		      const char *body);

/* -- http_tunnel.c -------------------------------------------------------- */
/* Is one of them inside? */
bool ts_http_tunnel_claims(const struct ts_http_client *client,
			   const struct ts_ip *ips, size_t count);
/* No connection is used any more that has gone another way than now. */
void ts_http_tunnel_follow(struct ts_http_client *client);
bool ts_http_tunnel_set_options(struct ts_http_request *rq);
void ts_http_tunnel_deinit(struct ts_http_client *client);

#endif
